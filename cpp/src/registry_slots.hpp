// What every state keeps in its registry, by number. Set once, when the state is made, so reading them
// allocates nothing.
#pragma once

namespace osthread::slot {

enum : int {
  kVm = 1,  // the Vm, a light userdata
  kStop,    // the error object of a stop
  kExit,    // the error object of os.exit
  kArray,   // metatable: osthread.array
  kMap,     // metatable: osthread.map
  kObject,  // metatable of handles to host objects
  kInvoke,  // closures that bodies run in, made ahead because making one may raise
  kRead,
  kWrite,
  kOnError,      // message handler
  kText,         // an error value's own __tostring
  kPrint,        // stock functions that ours stand before
  kCdata,        // helpers for 64-bit integers and NULL, made when first needed
  kNames,        // library functions and tables to their names, made when first needed
  kModules,      // what the limited require knows
  kExitValue,    // what os.exit was called with
  kChunk,        // the compiled chunk
  kBuiltins,     // stock functions for Lua code of ours, whatever the script puts in their place
  kFfi,          // the library ffi where the script may not have it
  kModule,       // the module osthread, made when first needed
  kClasses,      // what makes a box of each class that is Lua over FFI; made with the module's Lua half
  kBoxes,        // objects of the host to their boxes, and all boxes; weak
  kLoop,         // luv: its loop, made when it is opened
  kLoopError,    // luv: what a callback has raised
  kKept,         // compiled functions that are to be run again and again, by number
  kCalledNames,  // from here on strings: names of functions that the host has called
  kLastCalledName = kCalledNames + 31,
  kCount = kLastCalledName
};

}  // namespace osthread::slot
