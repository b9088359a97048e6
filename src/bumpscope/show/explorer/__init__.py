"""The page on which a reader moves through training: what to show, how it is packed, and the page itself."""
