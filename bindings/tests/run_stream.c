/* A stream that does what stdin says, for tests/streaming/test_in_cpp.py: its events must be those of Python.
 *
 * run_stream MODEL POLICY MIN_CONFIDENCE DECODE STILL REUSE [live] [QUERY ...]; a QUERY that starts with @ is a file. In, a line
 * each, whose words are parted by tabs:
 *     frame WIDTH HEIGHT TIME, and behind it the RGB pixels
 *     add POLICY QUERY | remove QUERY | set [QUERY ...] | policy POLICY
 *     watch A,B|@FILE HOLD [THRESHOLD ...] | unwatch | head FILE HOLD | unhead | flush | reset
 * Out: events as JSON, a tab, the embedding; "error" and the message; at the end "stats" and the counts. A live stream is
 * given all frames as fast as they come, with a queue for all of them and a long gap, so that none is dropped and no stall is
 * seen; before any other line it finishes what was pushed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vljepa.h>

#define MOST 32

static vljepa_model* model;
static vljepa_stream* stream;
static vljepa_head* head;

static int failed(vljepa_status status) {
    if (status != VLJEPA_OK) printf("error\t%d %s\n", status, vljepa_last_error());
    return status != VLJEPA_OK;
}

static void tell(const vljepa_event* event) {
    printf("%s\t", vljepa_event_json(event));
    for (size_t i = 0; i < vljepa_model_width(model); ++i) printf("%.9g ", vljepa_event_embedding(event)[i]);
    printf("\n");
}

static void hear(const vljepa_event* event, void* user) {
    ++*(int64_t*)user;
    tell(event);
}

static void poll_all(void) {
    vljepa_event* event;
    while (vljepa_stream_poll(stream, &event) == VLJEPA_OK && event != NULL) {
        tell(event);
        vljepa_event_free(event);
    }
}

/* Waits until each frame that was pushed is counted in. */
static void settle(void) {
    const struct timespec pause = {0, 1000000};
    for (vljepa_stats s;; nanosleep(&pause, NULL)) {
        if (failed(vljepa_stream_get_stats(stream, &s))) exit(1);
        if (s.encoded + s.skipped + s.repeated + s.backwards + s.bad_times + s.errors + s.dropped + s.stale == s.frames) return;
    }
}

static vljepa_query* query_of(const char* text) {
    vljepa_query* query = NULL;
    failed(text[0] == '@' ? vljepa_query_read(model, text + 1, &query) : vljepa_query_make(model, text, &query));
    return query;
}

static void push(char** words) {
    const int width = atoi(words[1]), height = atoi(words[2]);
    const size_t size = 3 * (size_t)width * (size_t)height;
    uint8_t* pixels = malloc(size + 1);
    if (pixels == NULL || fread(pixels, 1, size, stdin) != size) exit(1);
    const vljepa_frame frame = vljepa_frame_default(VLJEPA_RGB, width, height, pixels);
    failed(vljepa_stream_push(stream, &frame, strtod(words[3], NULL)));
    free(pixels);
}

static void set(char** words, int count) {
    vljepa_query* queries[MOST];
    for (int i = 1; i < count; ++i) queries[i - 1] = query_of(words[i]);
    failed(vljepa_stream_set_queries(stream, (const vljepa_query* const*)queries, (size_t)count - 1));
    for (int i = 1; i < count; ++i) vljepa_query_free(queries[i - 1]);
}

static void add(char** words) {
    vljepa_query* query = query_of(words[2]);
    failed(vljepa_stream_add_query(stream, query, words[1][0] == '\0' ? NULL : words[1]));
    vljepa_query_free(query);
}

static void watch(char** words, int count) {
    vljepa_labels* labels = NULL;
    double thresholds[MOST];
    if (words[1][0] == '@') {
        if (failed(vljepa_labels_read(model, words[1] + 1, &labels))) return;
    } else {
        const char* names[MOST];
        size_t named = 0;
        for (char* name = strtok(words[1], ","); name != NULL && named < MOST; name = strtok(NULL, ",")) names[named++] = name;
        if (failed(vljepa_labels_make(model, names, named, &labels))) return;
    }
    for (int i = 3; i < count; ++i) thresholds[i - 3] = strtod(words[i], NULL);
    failed(vljepa_stream_watch(stream, labels, count > 3 ? thresholds : NULL, strtod(words[2], NULL)));
    vljepa_labels_free(labels);
}

static void add_head(char** words) {
    if (failed(vljepa_head_read(model, words[1], &head))) return;
    failed(vljepa_stream_add_head(stream, head, strtod(words[2], NULL)));
}

static void obey(char** words, int count) {
    const char* what = words[0];
    if (strcmp(what, "add") == 0) add(words);
    if (strcmp(what, "remove") == 0) failed(vljepa_stream_remove_query(stream, words[1]));
    if (strcmp(what, "set") == 0) set(words, count);
    if (strcmp(what, "policy") == 0) failed(vljepa_stream_set_policy(stream, words[1]));
    if (strcmp(what, "watch") == 0) watch(words, count);
    if (strcmp(what, "unwatch") == 0) failed(vljepa_stream_watch(stream, NULL, NULL, 0.5));
    if (strcmp(what, "head") == 0) add_head(words);
    if (strcmp(what, "unhead") == 0) failed(vljepa_stream_remove_head(stream, head));
    if (strcmp(what, "flush") == 0) failed(vljepa_stream_flush(stream));
    if (strcmp(what, "reset") == 0) failed(vljepa_stream_reset(stream));
}

static int split(char* line, char** words) {
    int count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char* word = line; word != NULL && count < MOST; ++count) {
        words[count] = word;
        word = strchr(word, '\t');
        if (word != NULL) *word++ = '\0';
    }
    return count;
}

int main(int argc, char** argv) {
    if (argc < 7) return 2;
    vljepa_model_params model_params = vljepa_model_default_params();
    model_params.threads = 1;
    if (getenv("VLJEPA_ENGINE") != NULL) model_params.engine = getenv("VLJEPA_ENGINE");
    if (failed(vljepa_model_load(argv[1], &model_params, &model))) return 1;
    vljepa_stream_params params = vljepa_stream_default_params();
    params.policy = argv[2];
    params.min_confidence = atof(argv[3]);
    params.decode = atoi(argv[4]);
    params.still = atof(argv[5]);
    params.reuse = atof(argv[6]);
    const int is_live = argc > 7 && strcmp(argv[7], "live") == 0;
    const char* texts[MOST];
    const char* files[MOST];
    params.queries = texts;
    params.query_files = files;
    for (int i = is_live ? 8 : 7; i < argc && i < MOST; ++i) {
        if (argv[i][0] == '@') files[params.query_file_count++] = argv[i] + 1;
        else texts[params.query_count++] = argv[i];
    }
    if (is_live) {
        params.queue = 100000;
        params.max_staleness = INFINITY;
        params.gap = 20;
    }
    int64_t heard = 0;
    if (failed(is_live ? vljepa_stream_open_live(model, &params, hear, &heard, &stream)
                       : vljepa_stream_open(model, &params, &stream))) {
        return 1;
    }
    static char line[65536];
    char* words[MOST];
    while (fgets(line, sizeof line, stdin) != NULL) {
        const int count = split(line, words);
        if (strcmp(words[0], "frame") == 0) {
            push(words);
        } else {
            settle();
            obey(words, count);
        }
        if (!is_live) poll_all();
    }
    settle();
    failed(vljepa_stream_flush(stream));
    if (!is_live) poll_all();
    vljepa_stats s;
    vljepa_savings savings;
    if (failed(vljepa_stream_get_stats(stream, &s)) || failed(vljepa_stream_get_savings(stream, &savings))) return 1;
    if (is_live && heard != s.events) printf("error\t%lld of %lld events were heard\n", (long long)heard, (long long)s.events);
    printf("stats\t{\"encoded\": %lld, \"skipped\": %lld, \"repeated\": %lld, \"backwards\": %lld, \"bad_times\": %lld, ",
           (long long)s.encoded, (long long)s.skipped, (long long)s.repeated, (long long)s.backwards, (long long)s.bad_times);
    printf("\"errors\": %lld, \"frames\": %lld, \"restarts\": %lld, \"gaps\": %lld, \"resized\": %lld, \"hops\": %lld, ",
           (long long)s.errors, (long long)s.frames, (long long)s.restarts, (long long)s.gaps, (long long)s.resized,
           (long long)s.hops);
    printf("\"decodes\": %lld, \"events\": %lld, \"hops_idle\": %lld, \"dropped\": %lld, \"stale\": %lld, ",
           (long long)s.decodes, (long long)s.events, (long long)s.hops_idle, (long long)s.dropped, (long long)s.stale);
    printf("\"hops_put_off\": %lld, \"stalls\": %lld, \"unpolled\": %lld, ", (long long)s.hops_put_off, (long long)s.stalls,
           (long long)s.unpolled);
    printf("\"still\": %lld, \"reuses\": %lld}\n", (long long)savings.still, (long long)savings.reuses);
    vljepa_stream_free(stream);
    vljepa_head_free(head);
    vljepa_model_free(model);
    return 0;
}
