//! Speech models: fetched by name, checked by hash, converted where needed.
