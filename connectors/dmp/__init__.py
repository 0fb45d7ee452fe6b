"""The French DMP: documents published, replaced and deleted; records and documents looked up."""
