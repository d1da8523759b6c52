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

/* --- log ---------------------------------------------------------------------------------------------------------- */

typedef enum { VLJEPA_LOG_INFO = 0, VLJEPA_LOG_WARNING = 1, VLJEPA_LOG_ERROR = 2 } vljepa_log_level;

/* `text` is valid during the call. It may come from any thread that uses the library, and must not call it. */
typedef void (*vljepa_log_callback)(vljepa_log_level level, const char* text, void* user);

/* Tell what is worth a line in a log: models that were loaded, and each error. NULL: nobody, as at the start. */
VLJEPA_API void vljepa_set_log(vljepa_log_callback callback, void* user);

/* --- models ------------------------------------------------------------------------------------------------------- */

/* A model whose graphs are compiled. It does not change: many streams on many threads may use one. */
typedef struct vljepa_model vljepa_model;

typedef enum {
    VLJEPA_PRECISION_AUTO = 0, /* bf16 where the CPU has it, else f32 */
    VLJEPA_PRECISION_F32 = 1,
    VLJEPA_PRECISION_BF16 = 2,
    VLJEPA_PRECISION_F16 = 3
} vljepa_precision;

typedef struct {
    const char* engine; /* "openvino" */
    int32_t threads;    /* 0: the engine's own choice, mostly all cores */
    int32_t precision;  /* a vljepa_precision */
    uint64_t reserved[6];
} vljepa_model_params;

VLJEPA_API vljepa_model_params vljepa_model_default_params(void);

/* Load a bundle, a folder or a .vljepa file. `params` NULL: the defaults. Free *model with vljepa_model_free(). */
VLJEPA_API vljepa_status vljepa_model_load(const char* path, const vljepa_model_params* params, vljepa_model** model);

/* Streams that use the model keep it until they are freed. */
VLJEPA_API void vljepa_model_free(vljepa_model* model);

VLJEPA_API const char* vljepa_model_name(const vljepa_model* model);
VLJEPA_API const char* vljepa_model_version(const vljepa_model* model); /* of the bundle */
VLJEPA_API double vljepa_model_fps(const vljepa_model* model);          /* frames a second that the model sees */
VLJEPA_API size_t vljepa_model_width(const vljepa_model* model);        /* numbers in an embedding */

/* --- frames ------------------------------------------------------------------------------------------------------- */

typedef enum {
    VLJEPA_RGB = 0,
    VLJEPA_BGR = 1,
    VLJEPA_RGBA = 2,
    VLJEPA_BGRA = 3,
    VLJEPA_GREY = 4,
    VLJEPA_NV12 = 5, /* planes Y and UV */
    VLJEPA_YUYV = 6,
    VLJEPA_I420 = 7 /* planes Y, U and V */
} vljepa_pixel_format;

typedef enum {
    VLJEPA_MATRIX_AUTO = 0, /* BT.709 from 1280 x 720 on, else BT.601, as players assume */
    VLJEPA_MATRIX_BT601 = 1,
    VLJEPA_MATRIX_BT709 = 2
} vljepa_matrix;

/* A frame of any size in memory of the caller's, which is read during the call only. */
typedef struct {
    int32_t format; /* a vljepa_pixel_format */
    int32_t width;
    int32_t height;
    int32_t matrix;     /* a vljepa_matrix; of YUV formats */
    int32_t full_range; /* 1: YUV is 0 to 255, 0: 16 to 235 */
    int32_t reserved0;
    const uint8_t* planes[3];
    size_t strides[3]; /* bytes from row to row of each plane; 0: rows follow each other without a gap */
    uint64_t reserved[4];
} vljepa_frame;

/* A frame of one plane without gaps; fill in planes, strides and the rest where they differ. */
VLJEPA_API vljepa_frame vljepa_frame_default(int32_t format, int32_t width, int32_t height, const uint8_t* pixels);

/* --- streams ------------------------------------------------------------------------------------------------------ */

/* Frames in, events out. A stream is used by one thread at a time; different streams by different threads. */
typedef struct vljepa_stream vljepa_stream;
/* What a stream tells: a segment that opened or closed. */
typedef struct vljepa_event vljepa_event;

typedef enum {
    VLJEPA_DECODE_BOTH = 0, /* open and closed segments are put in words */
    VLJEPA_DECODE_OPEN = 1,
    VLJEPA_DECODE_CLOSED = 2,
    VLJEPA_DECODE_NONE = 3
} vljepa_decode;

typedef struct {
    const char* policy;         /* such as "running-ward:threshold=0.3" */
    const char* const* queries; /* texts in ASCII; NULL: the model's default query */
    size_t query_count;
    const char* const* query_files; /* queries of any text, as `vljepa query TEXT --out FILE` writes them */
    size_t query_file_count;
    double hop;            /* seconds from one window to the next; 0: the model's */
    double gap;            /* seconds without a frame that end the segments; 0: the window's length, at least 2 */
    double min_confidence; /* 0 to 1: from which probability on a text is shown; below 0: the model's */
    int32_t decode;        /* a vljepa_decode */
    int32_t reserved0;
    double max_idle; /* seconds for which hops of a still scene cost nothing; 0: each is computed */
    uint64_t reserved[5];
} vljepa_stream_params;

VLJEPA_API vljepa_stream_params vljepa_stream_default_params(void);

/* `params` NULL: the defaults. Free *stream with vljepa_stream_free(). */
VLJEPA_API vljepa_status vljepa_stream_open(const vljepa_model* model, const vljepa_stream_params* params,
                                            vljepa_stream** stream);
VLJEPA_API void vljepa_stream_free(vljepa_stream* stream);

/* Take a frame at `time` seconds, on whatever clock, and do the work. A frame that fails is lost, the stream goes on. */
VLJEPA_API vljepa_status vljepa_stream_push(vljepa_stream* stream, const vljepa_frame* frame, double time);
/* Close the open segments at the last frame. The stream can go on. */
VLJEPA_API vljepa_status vljepa_stream_flush(vljepa_stream* stream);
/* Forget frames, segments, events not polled and counts. Queries stay. */
VLJEPA_API vljepa_status vljepa_stream_reset(vljepa_stream* stream);
/* The oldest event that was not polled yet, or NULL in *event when there is none. Free it with vljepa_event_free(). Events
 * wait until they are polled; the latest 256 are kept, and all that one call made. */
VLJEPA_API vljepa_status vljepa_stream_poll(vljepa_stream* stream, vljepa_event** event);

/* Counts so far. Every pushed frame is in one of the first six. */
typedef struct {
    int64_t encoded, skipped, repeated, backwards, bad_times, errors;
    int64_t frames, restarts, gaps, resized, hops, decodes, events;
    int64_t hops_idle; /* hops that cost nothing: the window was that of the hop before, pixel for pixel */
    uint64_t reserved[7];
} vljepa_stats;

VLJEPA_API vljepa_status vljepa_stream_get_stats(const vljepa_stream* stream, vljepa_stats* stats);

/* --- events ------------------------------------------------------------------------------------------------------- */

VLJEPA_API void vljepa_event_free(vljepa_event* event);

VLJEPA_API int vljepa_event_is_open(const vljepa_event* event);          /* 1: it opened, 0: it closed */
VLJEPA_API double vljepa_event_start(const vljepa_event* event);         /* seconds */
VLJEPA_API double vljepa_event_end(const vljepa_event* event);           /* seconds; NaN while it is open */
VLJEPA_API double vljepa_event_decided_at(const vljepa_event* event);    /* time of the newest frame at the cut */
VLJEPA_API const char* vljepa_event_text(const vljepa_event* event);     /* UTF-8; "" where nothing is sure enough */
VLJEPA_API double vljepa_event_confidence(const vljepa_event* event);    /* 0 to 1; NaN where the model can't say */
VLJEPA_API double vljepa_event_change(const vljepa_event* event);        /* how much changed, by the policy's measure */
VLJEPA_API const char* vljepa_event_query(const vljepa_event* event);
VLJEPA_API int64_t vljepa_event_segment(const vljepa_event* event);      /* counts the segments of a query from 0 */
/* vljepa_model_width() floats of unit norm. */
VLJEPA_API const float* vljepa_event_embedding(const vljepa_event* event);
/* The event as one line of JSON, with the keys of `vljepa stream --json` but type and latencies. */
VLJEPA_API const char* vljepa_event_json(const vljepa_event* event);

#ifdef __cplusplus
}
#endif

#endif
