"""The report of `flowseg evaluate`: scores, and an HTML page that shows every error."""
