"""For agents: the API as tools of the Model Context Protocol, under a spending cap, and a card to be found by."""
