"""The runtime every Stagecraft service shares. It knows no service; see README.md for a tour."""
