"""English and Chinese: catalogues of messages, labels of codes, reasons as sentences."""
