"""Floor 7: what people look at: tables, pictures, curves. Host data all; matplotlib is imported when it draws."""
