"""The programs that run beside the code judge, in processes of their own. None of them imports ssr_nb: the code
judge hands them over as text, since where they run there is nothing to import but Python itself.

`start` runs first and makes modules of the others; `place` fences a process in (with `limits` and `system_calls`);
`worker` holds the program and `tester` the tests, `plain` is what the two say to each other, and `kinds` and `stand_ins`
are what the tests hold in place of the program's functions and objects; `look_around` and `leaks` try the fence out.
"""
