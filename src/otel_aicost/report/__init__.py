"""Reports: what the ledger holds, added up, and written as tables, CSV or JSON. Nothing here prints."""
