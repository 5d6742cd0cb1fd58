"""Pictures of results, to be looked at: one file for each verb that draws."""
