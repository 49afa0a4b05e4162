"""The report card: metrics, baselines, shortcut tests and a verdict, as a page; and reports compared."""
