"""The local cloud as a whole: started and stopped, its command and its control port."""
