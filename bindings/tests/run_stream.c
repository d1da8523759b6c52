/* A stream whose frames come from stdin, for tests/streaming/test_in_cpp.py: its events must be those of Python.
 *
 * run_stream MODEL POLICY MIN_CONFIDENCE DECODE [QUERY ...]; a QUERY that starts with @ is a file. In, for each frame, a line
 * `width height time` and its RGB pixels. Out: events as JSON, a tab, the embedding; "error" and the message; at the end
 * "stats" and the counts.
 */
#include <stdio.h>
#include <stdlib.h>

#include <vljepa.h>

static void tell(vljepa_stream* stream, size_t width) {
    vljepa_event* event;
    while (vljepa_stream_poll(stream, &event) == VLJEPA_OK && event != NULL) {
        printf("%s\t", vljepa_event_json(event));
        for (size_t i = 0; i < width; ++i) printf("%.9g ", vljepa_event_embedding(event)[i]);
        printf("\n");
        vljepa_event_free(event);
    }
}

static int failed(vljepa_status status) {
    if (status != VLJEPA_OK) printf("error\t%d %s\n", status, vljepa_last_error());
    return status != VLJEPA_OK;
}

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    vljepa_model_params model_params = vljepa_model_default_params();
    model_params.threads = 1;
    vljepa_model* model = NULL;
    if (failed(vljepa_model_load(argv[1], &model_params, &model))) return 1;
    vljepa_stream_params params = vljepa_stream_default_params();
    params.policy = argv[2];
    params.min_confidence = atof(argv[3]);
    params.decode = atoi(argv[4]);
    const char* texts[16];
    const char* files[16];
    params.queries = texts;
    params.query_files = files;
    for (int i = 5; i < argc && i < 21; ++i) {
        if (argv[i][0] == '@') files[params.query_file_count++] = argv[i] + 1;
        else texts[params.query_count++] = argv[i];
    }
    vljepa_stream* stream = NULL;
    if (failed(vljepa_stream_open(model, &params, &stream))) return 1;
    const size_t numbers = vljepa_model_width(model);
    int width, height;
    double time;
    while (scanf("%d %d %lf", &width, &height, &time) == 3 && getchar() == '\n') {
        const size_t size = 3 * (size_t)width * (size_t)height;
        uint8_t* pixels = malloc(size + 1);
        if (pixels == NULL || fread(pixels, 1, size, stdin) != size) return 1;
        const vljepa_frame frame = vljepa_frame_default(VLJEPA_RGB, width, height, pixels);
        failed(vljepa_stream_push(stream, &frame, time));
        tell(stream, numbers);
        free(pixels);
    }
    failed(vljepa_stream_flush(stream));
    tell(stream, numbers);
    vljepa_stats s;
    if (failed(vljepa_stream_get_stats(stream, &s))) return 1;
    printf("stats\t{\"encoded\": %lld, \"skipped\": %lld, \"repeated\": %lld, \"backwards\": %lld, \"bad_times\": %lld, ",
           (long long)s.encoded, (long long)s.skipped, (long long)s.repeated, (long long)s.backwards, (long long)s.bad_times);
    printf("\"errors\": %lld, \"frames\": %lld, \"restarts\": %lld, \"gaps\": %lld, \"resized\": %lld, \"hops\": %lld, ",
           (long long)s.errors, (long long)s.frames, (long long)s.restarts, (long long)s.gaps, (long long)s.resized,
           (long long)s.hops);
    printf("\"decodes\": %lld, \"events\": %lld, \"hops_idle\": %lld}\n", (long long)s.decodes, (long long)s.events,
           (long long)s.hops_idle);
    vljepa_stream_free(stream);
    vljepa_model_free(model);
    return 0;
}
