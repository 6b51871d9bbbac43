"""The report of `flowseg evaluate`: scores, and a page that shows every error."""
