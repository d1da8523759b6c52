// The C API on the default model: what it does when all is well, when a frame is bad, and on several threads.

#include "vljepa.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

struct Counts {
    int open = 0;
    int closed = 0;
};

// Takes all events and checks what each must be.
Counts take(vljepa_stream* stream, std::size_t width) {
    Counts counts;
    vljepa_event* event = nullptr;
    while (vljepa_stream_poll(stream, &event) == VLJEPA_OK && event != nullptr) {
        const bool is_open = vljepa_event_is_open(event) == 1;
        ++(is_open ? counts.open : counts.closed);
        CHECK(std::isnan(vljepa_event_end(event)) == is_open);
        CHECK(vljepa_event_decided_at(event) >= vljepa_event_start(event));
        CHECK(vljepa_event_change(event) >= 0.0 && vljepa_event_segment(event) >= 0);
        CHECK(std::strlen(vljepa_event_query(event)) > 0);
        CHECK(!(vljepa_event_confidence(event) > 1.0));
        double squares = 0.0;
        for (std::size_t i = 0; i < width; ++i) squares += std::pow(vljepa_event_embedding(event)[i], 2);
        CHECK_NEAR(squares, 1.0, 1e-5);
        const std::string json = vljepa_event_json(event);
        CHECK(json.front() == '{' && json.back() == '}' && json.find(vljepa_event_text(event)) != std::string::npos);
        vljepa_event_free(event);
    }
    return counts;
}

std::vector<std::uint8_t> pixels(int shade) {
    std::vector<std::uint8_t> found(4 * 64 * 48);
    for (std::size_t i = 0; i < found.size(); ++i) found[i] = static_cast<std::uint8_t>(shade + (i % 7) * (i % 64));
    return found;
}

// Twelve seconds of three pictures; returns how many segments there were.
int segments(const vljepa_model* model, const char* policy, int format) {
    vljepa_stream_params params = vljepa_stream_default_params();
    params.policy = policy;
    vljepa_stream* stream = nullptr;
    CHECK(vljepa_stream_open(model, &params, &stream) == VLJEPA_OK);
    Counts all;
    for (int number = 0; number < 12; ++number) {
        const std::vector<std::uint8_t> data = pixels(85 * (number / 4));
        vljepa_frame frame = vljepa_frame_default(format, 64, 48, data.data());
        frame.planes[1] = data.data() + 64 * 48;
        frame.planes[2] = data.data() + 2 * 64 * 48;
        CHECK(vljepa_stream_push(stream, &frame, 100.0 + number) == VLJEPA_OK);
        const Counts found = take(stream, vljepa_model_width(model));
        all.open += found.open;
        all.closed += found.closed;
    }
    CHECK(vljepa_stream_flush(stream) == VLJEPA_OK);
    const Counts last = take(stream, vljepa_model_width(model));
    vljepa_stats stats;
    CHECK(vljepa_stream_get_stats(stream, &stats) == VLJEPA_OK);
    CHECK(stats.frames == 12 && stats.encoded == 12 && stats.errors == 0 && stats.hops == 12);
    CHECK(all.open + last.open == all.closed + last.closed);
    CHECK(stats.events == 2 * (all.open + last.open));
    vljepa_stream_free(stream);
    return all.open + last.open;
}

void check_bad_frames(const vljepa_model* model) {
    vljepa_stream* stream = nullptr;
    CHECK(vljepa_stream_open(model, nullptr, &stream) == VLJEPA_OK);
    const std::vector<std::uint8_t> data = pixels(0);
    const vljepa_frame good = vljepa_frame_default(VLJEPA_RGB, 64, 48, data.data());
    vljepa_frame frame = good;
    frame.width = 0;
    CHECK(vljepa_stream_push(stream, &frame, 0.0) == VLJEPA_FRAME_ERROR);
    CHECK(std::string(vljepa_last_error()) == "a frame must have pixels, got 0 x 48");
    frame = good;
    frame.strides[0] = 100;
    CHECK(vljepa_stream_push(stream, &frame, 0.5) == VLJEPA_FRAME_ERROR);
    frame = good;
    frame.planes[0] = nullptr;
    CHECK(vljepa_stream_push(stream, &frame, 1.0) == VLJEPA_FRAME_ERROR);
    frame = good;
    frame.format = 99;
    CHECK(vljepa_stream_push(stream, &frame, 1.5) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_stream_push(stream, nullptr, 1.5) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_stream_push(stream, &good, NAN) == VLJEPA_OK);  // counted, and no error
    CHECK(vljepa_stream_push(stream, &good, 2.0) == VLJEPA_OK);
    CHECK(take(stream, vljepa_model_width(model)).open == 1);
    vljepa_stats stats;
    CHECK(vljepa_stream_get_stats(stream, &stats) == VLJEPA_OK);
    CHECK(stats.errors == 3 && stats.bad_times == 1 && stats.encoded == 1 && stats.frames == 5);
    CHECK(vljepa_stream_reset(stream) == VLJEPA_OK);
    CHECK(vljepa_stream_get_stats(stream, &stats) == VLJEPA_OK && stats.frames == 0);
    CHECK(vljepa_stream_push(stream, &good, -1000.0) == VLJEPA_OK);
    vljepa_stream_free(stream);
}

// A worker makes the events; the callback may poll, and even close the stream.
void check_live(const vljepa_model* model) {
    struct Heard {
        vljepa_stream* stream = nullptr;
        int count = 0;
        int polled = 0;
    } heard;
    vljepa_stream_params params = vljepa_stream_default_params();
    params.policy = "uniform:period=1";
    params.queue = -1;
    CHECK(vljepa_stream_open_live(model, &params, nullptr, nullptr, &heard.stream) == VLJEPA_INPUT_ERROR);
    params.queue = 100;
    const vljepa_event_callback callback = [](const vljepa_event* event, void* user) {
        auto& told = *static_cast<Heard*>(user);
        CHECK(vljepa_event_get_status(event) == VLJEPA_OPEN || vljepa_event_get_status(event) == VLJEPA_CLOSED);
        CHECK(vljepa_event_latency_ms(event) > 0.0);
        ++told.count;
        vljepa_event* polled = nullptr;
        CHECK(vljepa_stream_poll(told.stream, &polled) == VLJEPA_OK);
        told.polled += polled != nullptr ? 1 : 0;
        vljepa_event_free(polled);
        if (told.count == 3) CHECK(vljepa_stream_close(told.stream) == VLJEPA_OK);
    };
    CHECK(vljepa_stream_open_live(model, &params, callback, &heard, &heard.stream) == VLJEPA_OK);
    const std::vector<std::uint8_t> data = pixels(20);
    const vljepa_frame frame = vljepa_frame_default(VLJEPA_BGRA, 64, 48, data.data());
    for (int number = 0; vljepa_stream_push(heard.stream, &frame, number / 4.0) == VLJEPA_OK; ++number) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(std::string(vljepa_last_error()) == "this stream is closed; open another");
    vljepa_latency latency;
    CHECK(vljepa_stream_get_latency(heard.stream, VLJEPA_STAGE_QUEUE, &latency) == VLJEPA_OK && latency.count > 0);
    CHECK(vljepa_stream_get_latency(heard.stream, 8, &latency) == VLJEPA_INPUT_ERROR);
    vljepa_stream_free(heard.stream);
    CHECK(heard.count >= 3 && heard.polled >= 1);
}

void check_null() {
    vljepa_model_free(nullptr);
    vljepa_stream_free(nullptr);
    vljepa_event_free(nullptr);
    vljepa_model* model = nullptr;
    vljepa_stream* stream = nullptr;
    CHECK(vljepa_model_load(nullptr, nullptr, &model) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_model_load("/nowhere", nullptr, nullptr) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_stream_open(nullptr, nullptr, &stream) == VLJEPA_INPUT_ERROR && stream == nullptr);
    CHECK(vljepa_stream_flush(nullptr) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_stream_poll(nullptr, nullptr) == VLJEPA_INPUT_ERROR);
    CHECK(vljepa_stream_open_live(nullptr, nullptr, nullptr, nullptr, &stream) == VLJEPA_INPUT_ERROR && stream == nullptr);
    CHECK(vljepa_stream_close(nullptr) == VLJEPA_INPUT_ERROR && vljepa_stream_watch(nullptr, nullptr, nullptr, 0.5) == VLJEPA_INPUT_ERROR);
    CHECK(std::string(vljepa_stream_last_error(nullptr)).empty());
    CHECK(vljepa_stream_failing(nullptr) == -1);
    vljepa_query_free(nullptr);
    vljepa_labels_free(nullptr);
    vljepa_head_free(nullptr);
    vljepa_query* query = nullptr;
    CHECK(vljepa_query_make(nullptr, "a", &query) == VLJEPA_INPUT_ERROR && query == nullptr);
    vljepa_model_params params = vljepa_model_default_params();
    params.engine = "abacus";
    CHECK(vljepa_model_load(MODEL, &params, &model) == VLJEPA_INPUT_ERROR);
    params = vljepa_model_default_params();
    params.precision = 9;
    CHECK(vljepa_model_load(MODEL, &params, &model) == VLJEPA_INPUT_ERROR && model == nullptr);
}

}  // namespace

int main() {
    std::vector<std::string> lines;
    vljepa_set_log([](vljepa_log_level, const char* text, void* user) { static_cast<std::vector<std::string>*>(user)->push_back(text); },
                   &lines);
    check_null();
    vljepa_model_params params = vljepa_model_default_params();
    params.threads = 1;
    vljepa_model* model = nullptr;
    CHECK(vljepa_model_load(MODEL, &params, &model) == VLJEPA_OK);
    CHECK(!lines.empty() && lines.back().rfind("loaded tiny ", 0) == 0);
    CHECK(std::string(vljepa_model_name(model)) == "tiny" && vljepa_model_fps(model) == 4.0);
    vljepa_set_log(nullptr, nullptr);

    check_bad_frames(model);
    check_live(model);
    CHECK(segments(model, "uniform:period=4", VLJEPA_RGBA) == 3);
    int on_threads[2] = {};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] { on_threads[i] = segments(model, "uniform:period=3", i == 0 ? VLJEPA_NV12 : VLJEPA_GREY); });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(on_threads[0] == 4 && on_threads[1] == 4);

    vljepa_stream* stream = nullptr;  // a stream keeps its model
    CHECK(vljepa_stream_open(model, nullptr, &stream) == VLJEPA_OK);
    vljepa_model_free(model);
    const std::vector<std::uint8_t> data = pixels(40);
    const vljepa_frame frame = vljepa_frame_default(VLJEPA_YUYV, 64, 48, data.data());
    CHECK(vljepa_stream_push(stream, &frame, 0.0) == VLJEPA_OK);
    vljepa_stream_free(stream);
}
