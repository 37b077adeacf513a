"""Networks of recipes as versions of the store: any recipe whose answer is one trained network over whole images."""
