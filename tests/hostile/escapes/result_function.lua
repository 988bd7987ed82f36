-- A function made here, which the host calls: in what libraries does it run?

return function() return (io or os.execute or pcall(require, 'ffi')) and 'has more than safe has' end
