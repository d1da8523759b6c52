/* What happens in a video, a line of JSON a segment: stream_y4m [--live] MODEL CLIP.y4m [POLICY]
 *
 * CLIP is a .y4m file, or - for one that comes by a pipe:
 *     ffmpeg -i clip.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | stream_y4m tiny.vljepa -
 * --live gives the frames at the pace of the video, as a camera does, and a worker of the stream does the work.
 */
#define _POSIX_C_SOURCE 199309L /* nanosleep */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vljepa.h>

/* The numbers of a .y4m header, whose words begin with a letter. Returns 0 for what this program does not read. */
static int read_header(FILE* file, int* width, int* height, double* period) {
    char line[256];
    if (fgets(line, sizeof line, file) == NULL || strncmp(line, "YUV4MPEG2 ", 10) != 0) return 0;
    int numerator = 0, denominator = 0, is_420 = 1;
    for (char* word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (word[0] == 'W') *width = atoi(word + 1);
        if (word[0] == 'H') *height = atoi(word + 1);
        if (word[0] == 'F') sscanf(word + 1, "%d:%d", &numerator, &denominator);
        if (word[0] == 'C') is_420 = strcmp(word, "C420") == 0 || strcmp(word, "C420jpeg") == 0;
    }
    if (numerator < 1 || denominator < 1) return 0;
    *period = (double)denominator / numerator;
    return is_420 && *width >= 1 && *width <= 16384 && *height >= 1 && *height <= 16384;
}

static int fail(const char* what) {
    fprintf(stderr, "%s: %s\n", what, vljepa_last_error());
    return 1;
}

static void print_event(const vljepa_event* event, void* user) {
    (void)user;
    printf("%s\n", vljepa_event_json(event));
    fflush(stdout);
}

static void print_events(vljepa_stream* stream) {
    vljepa_event* event;
    while (vljepa_stream_poll(stream, &event) == VLJEPA_OK && event != NULL) {
        print_event(event, NULL);
        vljepa_event_free(event);
    }
}

static void wait_for(double seconds) {
    const struct timespec time = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&time, NULL);
}

int main(int argc, char** argv) {
    const int is_live = argc > 1 && strcmp(argv[1], "--live") == 0;
    argv += is_live;
    argc -= is_live;
    if (argc < 3) {
        fprintf(stderr, "usage: stream_y4m [--live] MODEL CLIP.y4m [POLICY]\n");
        return 2;
    }
    FILE* file = strcmp(argv[2], "-") == 0 ? stdin : fopen(argv[2], "rb");
    int width = 0, height = 0;
    double period = 0.0;
    if (file == NULL || !read_header(file, &width, &height, &period)) {
        fprintf(stderr, "%s is not a .y4m file with C420 or C420jpeg\n", argv[2]);
        return 1;
    }

    vljepa_model* model = NULL;
    if (vljepa_model_load(argv[1], NULL, &model) != VLJEPA_OK) return fail("loading the model");
    vljepa_stream_params params = vljepa_stream_default_params();
    if (argc > 3) params.policy = argv[3];
    vljepa_stream* stream = NULL;
    const vljepa_status opened = is_live ? vljepa_stream_open_live(model, &params, print_event, NULL, &stream)
                                         : vljepa_stream_open(model, &params, &stream);
    if (opened != VLJEPA_OK) return fail("opening a stream");

    const size_t luma = (size_t)width * (size_t)height;
    const size_t chroma = (size_t)((width + 1) / 2) * (size_t)((height + 1) / 2);
    uint8_t* pixels = malloc(luma + 2 * chroma);
    if (pixels == NULL) return 1;
    vljepa_frame frame = vljepa_frame_default(VLJEPA_I420, width, height, pixels);
    frame.planes[1] = pixels + luma;
    frame.planes[2] = pixels + luma + chroma;

    char line[256];
    for (long number = 0; fgets(line, sizeof line, file) != NULL; ++number) {
        if (fread(pixels, 1, luma + 2 * chroma, file) != luma + 2 * chroma) break;
        if (vljepa_stream_push(stream, &frame, (double)number * period) != VLJEPA_OK) fail("a frame");
        if (is_live) wait_for(period);
        else print_events(stream);
    }
    if (vljepa_stream_flush(stream) != VLJEPA_OK) fail("the end");
    vljepa_stats stats;
    if (is_live && vljepa_stream_get_stats(stream, &stats) == VLJEPA_OK) {
        fprintf(stderr, "%lld frames, %lld encoded, %lld hops, %lld dropped, %lld stale, %lld errors\n", (long long)stats.frames,
                (long long)stats.encoded, (long long)stats.hops, (long long)stats.dropped, (long long)stats.stale,
                (long long)stats.errors);
    }
    if (!is_live) print_events(stream);

    free(pixels);
    if (file != stdin) fclose(file);
    vljepa_stream_free(stream);
    vljepa_model_free(model);
    return 0;
}
