"""The demo: invented people and things to join, brought together by the real parts."""
