-- The same by load, and a complex number.

load('return 1ULL, 2i')()
return type(require('ffi')) == 'table' and 'ffi'
