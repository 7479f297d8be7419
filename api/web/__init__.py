"""Pages made on the server. For now the reference page of the API."""
