/* What happens in a video, a line of JSON a segment: stream_y4m MODEL CLIP.y4m [POLICY]
 *
 * CLIP is a .y4m file, or - for one that comes by a pipe:
 *     ffmpeg -i clip.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | stream_y4m tiny.vljepa -
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void print_events(vljepa_stream* stream) {
    vljepa_event* event;
    while (vljepa_stream_poll(stream, &event) == VLJEPA_OK && event != NULL) {
        printf("%s\n", vljepa_event_json(event));
        vljepa_event_free(event);
    }
    fflush(stdout);
}

int main(int argc, char** argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL CLIP.y4m [POLICY]\n", argv[0]);
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
    if (vljepa_stream_open(model, &params, &stream) != VLJEPA_OK) return fail("opening a stream");

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
        print_events(stream);
    }
    if (vljepa_stream_flush(stream) != VLJEPA_OK) fail("the end");
    print_events(stream);

    free(pixels);
    if (file != stdin) fclose(file);
    vljepa_stream_free(stream);
    vljepa_model_free(model);
    return 0;
}
