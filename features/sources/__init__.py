"""Files in every format that is read: opened as tables of raw columns, or refused."""
