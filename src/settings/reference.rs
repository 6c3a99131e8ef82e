//! What is made from the table: the reference page and the JSON schema.
