#pragma once

// OSTHREAD_EXPORT marks what users of the library may link to; everything else stays hidden in it.
#if defined(OSTHREAD_STATIC)
#define OSTHREAD_EXPORT
#elif defined(_WIN32) && defined(OSTHREAD_BUILDING)
#define OSTHREAD_EXPORT __declspec(dllexport)
#elif defined(_WIN32)
#define OSTHREAD_EXPORT __declspec(dllimport)
#else
#define OSTHREAD_EXPORT __attribute__((visibility("default")))
#endif
