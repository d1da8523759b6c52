/* VL-JEPA on the edge, the C API: frames in, timestamped text out, without Python.
 *
 * Handles are opaque. What a function creates is freed by the function named beside it; freeing NULL does nothing. Texts and
 * arrays that a function returns belong to the handle they came from. No exception crosses this border: each function that
 * can fail returns a status, and vljepa_last_error() says why, for the calling thread.
 *
 * This file only grows: what a program was compiled with stays as it is. A struct of parameters is filled by its
 * vljepa_*_default_params() and then changed, so that members which are new have a value.
 */
#ifndef VLJEPA_H
#define VLJEPA_H

#include <stddef.h>
#include <stdint.h>

#if defined(VLJEPA_STATIC)
#define VLJEPA_API
#elif defined(_WIN32)
#ifdef VLJEPA_BUILDS_LIBRARY
#define VLJEPA_API __declspec(dllexport)
#else
#define VLJEPA_API __declspec(dllimport)
#endif
#else
#define VLJEPA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    VLJEPA_OK = 0,
    VLJEPA_INPUT_ERROR = 1,  /* an argument is not allowed */
    VLJEPA_FRAME_ERROR = 2,  /* a frame is not one */
    VLJEPA_BUNDLE_ERROR = 3, /* a model on disk is missing, altered or broken */
    VLJEPA_ENGINE_ERROR = 4, /* a graph can't be compiled or run */
    VLJEPA_MEMORY_ERROR = 5, /* there is no memory left */
    VLJEPA_INTERNAL_ERROR = 6
} vljepa_status;

/* The version of this library, such as "0.1.0". It is counted apart from vljepa-edge's. */
VLJEPA_API const char* vljepa_version(void);

/* What the last function that failed on this thread said; "" before any did. Valid until the next one fails on it. */
VLJEPA_API const char* vljepa_last_error(void);

/* Check all of a model on disk, a folder or a .vljepa file: names, sizes and hashes, and that its graphs fit together. */
VLJEPA_API vljepa_status vljepa_bundle_verify(const char* path);

#ifdef __cplusplus
}
#endif

#endif
