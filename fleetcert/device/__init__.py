"""The reference device agent: what runs on a device."""
