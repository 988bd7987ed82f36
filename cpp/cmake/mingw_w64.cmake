# Cross-builds for 64-bit Windows on Linux with mingw-w64; what is built runs under Wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

# Debian has two variants of the compiler. The other one, -win32, has no std::thread.
foreach(variant -posix "")
  find_program(CMAKE_CXX_COMPILER "x86_64-w64-mingw32-g++${variant}")
  find_program(CMAKE_C_COMPILER "x86_64-w64-mingw32-gcc${variant}")
endforeach()
if(NOT CMAKE_CXX_COMPILER OR NOT CMAKE_C_COMPILER)
  message(FATAL_ERROR "No cross-compiler was found: install g++-mingw-w64-x86-64-posix.")
endif()

find_program(CMAKE_CROSSCOMPILING_EMULATOR NAMES wine wine64 wine-stable PATHS /usr/lib/wine)
if(NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(FATAL_ERROR "Wine was not found, so nothing that is built could run: install wine64 (and wine).")
endif()

# Programs are this machine's; libraries and headers are only those of the target.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
