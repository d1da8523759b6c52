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
    const char* engine; /* "openvino"; where the library was built with them "onnxruntime" and "tensorrt:FOLDER" */
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

/* --- queries, labels and heads ------------------------------------------------------------------------------------ */

/* A question, embedded for one model. */
typedef struct vljepa_query vljepa_query;
/* Labels to watch for, embedded for one model. */
typedef struct vljepa_labels vljepa_labels;
/* Events that a user has taught. */
typedef struct vljepa_head vljepa_head;

/* A text in ASCII. Free *query with vljepa_query_free(). */
VLJEPA_API vljepa_status vljepa_query_make(const vljepa_model* model, const char* text, vljepa_query** query);
/* Any text, in a file that `vljepa query TEXT --out FILE` wrote. Free *query with vljepa_query_free(). */
VLJEPA_API vljepa_status vljepa_query_read(const vljepa_model* model, const char* path, vljepa_query** query);
/* Labels in words, texts in ASCII. Free *labels with vljepa_labels_free(). */
VLJEPA_API vljepa_status vljepa_labels_make(const vljepa_model* model, const char* const* names, size_t count,
                                            vljepa_labels** labels);
/* A file that `vljepa labels A,B --out FILE` wrote. Free *labels with vljepa_labels_free(). */
VLJEPA_API vljepa_status vljepa_labels_read(const vljepa_model* model, const char* path, vljepa_labels** labels);
/* A file that `vljepa teach` or Head.save of Python wrote, for the X-encoder of this model. Free *head with
 * vljepa_head_free(). */
VLJEPA_API vljepa_status vljepa_head_read(const vljepa_model* model, const char* path, vljepa_head** head);

/* Streams that use them keep them until they are freed. */
VLJEPA_API void vljepa_query_free(vljepa_query* query);
VLJEPA_API void vljepa_labels_free(vljepa_labels* labels);
VLJEPA_API void vljepa_head_free(vljepa_head* head);

VLJEPA_API size_t vljepa_labels_count(const vljepa_labels* labels);
VLJEPA_API const char* vljepa_labels_name(const vljepa_labels* labels, size_t which); /* NULL where there is none */

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

/* Frames in, events out. Any thread may call any function of a stream, but vljepa_stream_free() must be its last one. */
typedef struct vljepa_stream vljepa_stream;
/* What a stream tells: a segment that opened or closed, or another vljepa_event_status. */
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
    int32_t queue;         /* live: frames that may wait for the worker; 0: as many as the model's window has */
    double max_idle;       /* seconds for which hops of a still scene cost nothing; 0: each is computed */
    double max_staleness;  /* live: seconds that a frame may wait before it is dropped; INFINITY: no bound, 0: 2 */
    /* 0 to 255: levels by which the mean luma of a block of 8 x 8 pixels of the scaled frame may differ from that of the frame
     * encoded last, in a scene that is still. 2 to 4 ignore the noise of a camera; 0: no pixel differs. */
    double still;
    /* 0 to 1: a text is used again, not decoded, where the embedding lies within this cosine distance of one that it was decoded
     * from for the same query; 0: every text is decoded. */
    double reuse;
    uint64_t reserved[2];
} vljepa_stream_params;

VLJEPA_API vljepa_stream_params vljepa_stream_default_params(void);

/* `params` NULL: the defaults. Free *stream with vljepa_stream_free(). */
VLJEPA_API vljepa_status vljepa_stream_open(const vljepa_model* model, const vljepa_stream_params* params,
                                            vljepa_stream** stream);

/* Called with each event of a live stream, on its worker, with no lock held: it may call any function of the stream but
 * vljepa_stream_free(). `event` is valid during the call. */
typedef void (*vljepa_event_callback)(const vljepa_event* event, void* user);

/* A stream with a worker of its own: vljepa_stream_push() copies a frame that is due into a queue and returns, and where the
 * worker can't keep up the latest frames win. When no good frame comes for longer than `gap` of the machine's clock, the open
 * segments close and an event VLJEPA_STALLED follows. A frame that fails is counted in `errors`, and told of by the log and
 * vljepa_stream_last_error(). Events go to `callback`, which may be NULL, and to vljepa_stream_poll(). */
VLJEPA_API vljepa_status vljepa_stream_open_live(const vljepa_model* model, const vljepa_stream_params* params,
                                                 vljepa_event_callback callback, void* user, vljepa_stream** stream);

/* Closes the stream first. Not to be called by its own callback. */
VLJEPA_API void vljepa_stream_free(vljepa_stream* stream);

/* Take a frame at `time` seconds, on whatever clock, and do the work or, live, leave it to the worker. A frame that fails is
 * lost, the stream goes on. */
VLJEPA_API vljepa_status vljepa_stream_push(vljepa_stream* stream, const vljepa_frame* frame, double time);
/* Finish the frames pushed so far and close the open segments at the last one. The stream can go on. */
VLJEPA_API vljepa_status vljepa_stream_flush(vljepa_stream* stream);
/* Forget frames, segments, events not polled and counts. Queries, labels and heads stay. */
VLJEPA_API vljepa_status vljepa_stream_reset(vljepa_stream* stream);
/* Stop, and drop what waits: vljepa_stream_flush() first has the last segment closed. Events stay to be polled; frames are
 * refused from now on. Can be called twice, and by the callback. */
VLJEPA_API vljepa_status vljepa_stream_close(vljepa_stream* stream);

/* From the next hop on, while the stream runs. Segments that end by it close at the last frame, what was seen of labels and
 * heads that go is gone with it; these events are polled as all others. */
VLJEPA_API vljepa_status vljepa_stream_set_queries(vljepa_stream* stream, const vljepa_query* const* queries,
                                                   size_t count); /* 0: ask nothing */
/* `policy` NULL: the stream's. */
VLJEPA_API vljepa_status vljepa_stream_add_query(vljepa_stream* stream, const vljepa_query* query, const char* policy);
VLJEPA_API vljepa_status vljepa_stream_remove_query(vljepa_stream* stream, const char* text);
VLJEPA_API vljepa_status vljepa_stream_set_policy(vljepa_stream* stream, const char* policy); /* of every query */
/* Tell when labels appear and when they are gone, in place of those before; NULL: of none any more. thresholds: for each label
 * the probability at which it appears, or NULL for 0.6; it is gone below two thirds of that. hold: seconds that a label must
 * be seen before it has appeared, and not be seen before it is gone; 0.5 is usual. */
VLJEPA_API vljepa_status vljepa_stream_watch(vljepa_stream* stream, const vljepa_labels* labels, const double* thresholds,
                                             double hold);
/* Tell when the events of a head begin and end. `hold` is that of vljepa_stream_watch(). */
VLJEPA_API vljepa_status vljepa_stream_add_head(vljepa_stream* stream, const vljepa_head* head, double hold);
VLJEPA_API vljepa_status vljepa_stream_remove_head(vljepa_stream* stream, const vljepa_head* head);

/* The oldest event that was not polled yet, or NULL in *event when there is none. Free it with vljepa_event_free(). Events
 * wait until they are polled; the latest 256 are kept, and all that one call made. */
VLJEPA_API vljepa_status vljepa_stream_poll(vljepa_stream* stream, vljepa_event** event);

/* Counts so far. Every pushed frame is in one of the first six, `dropped` or `stale`. */
typedef struct {
    int64_t encoded, skipped, repeated, backwards, bad_times, errors;
    int64_t frames, restarts, gaps, resized, hops, decodes, events;
    int64_t hops_idle; /* hops that cost nothing: the window was that of the hop before */
    int64_t dropped;         /* live: frames that made way in a full queue for newer ones, or waited when it was closed */
    int64_t stale;           /* live: frames that waited for longer than max_staleness */
    int64_t hops_put_off;    /* live: frames at which a hop was due and was not made, as newer ones waited */
    int64_t stalls;          /* live: times that no good frame came for longer than the gap */
    int64_t callback_errors; /* exceptions of callbacks that are written in C++ */
    int64_t unpolled;        /* events that fell out of those kept for polling, and went to no callback */
    uint64_t reserved[1];
} vljepa_stats;

VLJEPA_API vljepa_status vljepa_stream_get_stats(const vljepa_stream* stream, vljepa_stats* stats);

/* Frames that failed since the last hop that succeeded, or texts since the last that was decoded: the more. Where it only
 * rises, nothing works any more: load the model again. -1: `stream` is NULL. */
VLJEPA_API int64_t vljepa_stream_failing(const vljepa_stream* stream);

/* What a stream spared so far. */
typedef struct {
    int64_t still;  /* of the encoded frames, those that no graph was run for: they were as a frame before */
    int64_t reuses; /* texts that were used again in place of a decode */
    uint64_t reserved[6];
} vljepa_savings;

VLJEPA_API vljepa_status vljepa_stream_get_savings(const vljepa_stream* stream, vljepa_savings* savings);

typedef enum {
    VLJEPA_STAGE_HOP = 0,     /* frame in, decision out, without decoding */
    VLJEPA_STAGE_QUEUE = 1,   /* live: the wait for the worker */
    VLJEPA_STAGE_SCALE = 2,
    VLJEPA_STAGE_ENCODE = 3,  /* X-encoder graphs */
    VLJEPA_STAGE_PREDICT = 4, /* of all queries */
    VLJEPA_STAGE_POLICY = 5,
    VLJEPA_STAGE_OVERHEAD = 6, /* of the hop outside scaling and graphs */
    VLJEPA_STAGE_DECODE = 7    /* one text */
} vljepa_stage;

/* Percentiles of the last 4096 durations of a stage, in milliseconds. */
typedef struct {
    int64_t count; /* how many there were in all; 0: the others say nothing */
    double p50, p90, p99;
    uint64_t reserved[4];
} vljepa_latency;

VLJEPA_API vljepa_status vljepa_stream_get_latency(const vljepa_stream* stream, int32_t stage, vljepa_latency* latency);
/* The latest error that was counted and that no call returned; "" for none. Valid until this thread asks again. */
VLJEPA_API const char* vljepa_stream_last_error(const vljepa_stream* stream);

/* --- events ------------------------------------------------------------------------------------------------------- */

VLJEPA_API void vljepa_event_free(vljepa_event* event);

typedef enum {
    VLJEPA_OPEN = 0, /* a segment opened */
    VLJEPA_CLOSED = 1,
    VLJEPA_APPEARED = 2, /* a label that is watched for; its text is the label */
    VLJEPA_GONE = 3,
    VLJEPA_BEGAN = 4, /* an event that was taught; its text is its name */
    VLJEPA_ENDED = 5,
    VLJEPA_STALLED = 6 /* no frame came; no text, no query, segment -1 */
} vljepa_event_status;

VLJEPA_API int32_t vljepa_event_get_status(const vljepa_event* event);   /* a vljepa_event_status */
VLJEPA_API int vljepa_event_is_open(const vljepa_event* event);          /* 1: a segment opened, 0: another status */
VLJEPA_API double vljepa_event_start(const vljepa_event* event);         /* seconds */
VLJEPA_API double vljepa_event_end(const vljepa_event* event);           /* seconds; NaN while it is open, or seen */
VLJEPA_API double vljepa_event_decided_at(const vljepa_event* event);    /* time of the newest frame at the cut */
VLJEPA_API const char* vljepa_event_text(const vljepa_event* event);     /* UTF-8; "" where nothing is sure enough */
VLJEPA_API double vljepa_event_confidence(const vljepa_event* event);    /* 0 to 1; NaN where the model can't say */
VLJEPA_API int vljepa_event_reused(const vljepa_event* event);           /* 1: its text was decoded before; see `reuse` */
VLJEPA_API double vljepa_event_change(const vljepa_event* event);        /* how much changed, by the policy's measure */
VLJEPA_API const char* vljepa_event_query(const vljepa_event* event);
VLJEPA_API int64_t vljepa_event_segment(const vljepa_event* event);      /* counts the segments of a query from 0 */
VLJEPA_API double vljepa_event_latency_ms(const vljepa_event* event);    /* from the push of its frame to the event */
/* vljepa_model_width() floats of unit norm; zeros of taught events and stalls. */
VLJEPA_API const float* vljepa_event_embedding(const vljepa_event* event);
/* The event as one line of JSON, with the keys of `vljepa stream --json` but type and latencies. */
VLJEPA_API const char* vljepa_event_json(const vljepa_event* event);

#ifdef __cplusplus
}
#endif

#endif
