-- The compiler's controls.

return rawget(_G, 'jit') ~= nil and 'jit'
