"""Say what a search asks for: the parts of a query, and the options that all queries of a search share."""
