"""The commands of ``osthread``, one a file; `osthread.__main__` reads the command line and calls them.

arguments  what the options take            run     a file
outcome    errors and exit statuses         eval    code from the command line
typed      code as people type it           repl    line by line
show.lua   values as people read them       demo    what it is good for
                                            doctor  what this build can do
"""
