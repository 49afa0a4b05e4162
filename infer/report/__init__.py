"""The report card: metrics, rivals, shortcut tests and a verdict, as a page; and reports compared."""
