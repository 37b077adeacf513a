"""The shell: page frame, navigation that each app contributes to, error pages, what happens around every request, and
the guard in front of the web server. No subject of its own."""
