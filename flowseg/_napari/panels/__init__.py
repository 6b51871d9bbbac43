"""Panels of the plugin's dock widget."""
