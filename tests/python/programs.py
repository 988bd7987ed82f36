"""Lua code, and Python code around it, that several files of tests run."""

FOREVER = "while true do end"
STUBBORN = "while true do pcall(function() while true do end end) end"
NEVER = "return ('a'):rep(200):find(('a*'):rep(16) .. 'b')"
SQUARE = "function(x) return x * x end"
SIGNALLED = """
import concurrent.futures, random, signal
from osthread import LuaPool

class Signalled(BaseException):
    pass

"""
