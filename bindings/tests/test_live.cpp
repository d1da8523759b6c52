// Live streams: a worker, a queue where the latest win, stalls, changes while it runs, and threads that do all at once. It
// needs no engine, so that the thread sanitizer sees all there is.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "stand_in.hpp"
#include "vljepa/error.hpp"
#include "vljepa/stream.hpp"

namespace {

using namespace vljepa;
using stand_in::Behaviour;
using stand_in::kBlue;
using stand_in::kGreen;
using stand_in::kRed;

constexpr double kPeriod = 1.0 / stand_in::kFps;

StreamOptions live() {
    StreamOptions options;
    options.live = true;
    options.policy = "uniform:period=1";
    options.queue = 1000;
    options.max_idle = 0.0;  // a frame that repeats is work, too
    return options;
}

std::vector<Query> one() { return {stand_in::query("What?")}; }

std::int64_t outcomes(const StreamStats& s) {
    return s.encoded + s.skipped + s.repeated + s.backwards + s.bad_times + s.errors + s.dropped + s.stale;
}

template <typename F>
void wait_until(F&& holds) {
    for (int i = 0; i < 10'000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(holds());
}

std::vector<std::string> told(const std::vector<Event>& events) {
    static const char* const kNames[] = {"open", "closed", "appeared", "gone", "began", "ended", "stalled"};
    std::vector<std::string> found;
    for (const Event& event : events) found.push_back(std::string(kNames[static_cast<int>(event.status)]) + " " + event.text);
    return found;
}

// Three colours, a second each.
void push_colours(Stream& stream, double first = 0.0) {
    for (int i = 0; i < 60; ++i) {
        const stand_in::Colour& colour = i < 20 ? kRed : i < 40 ? kGreen : kBlue;
        stream.push(colour.picture(), first + i * kPeriod);
    }
}

void a_worker_makes_the_events_that_push_makes(const std::shared_ptr<const Model>& model) {
    StreamOptions options = live();
    std::vector<std::vector<Event>> made;
    for (const bool is_live : {false, true}) {
        options.live = is_live;
        Stream stream(model, one(), options);
        push_colours(stream);
        stream.flush();
        made.push_back(stream.poll());
        const StreamStats stats = stream.stats();
        CHECK(stats.frames == 60 && stats.encoded == 60 && stats.hops == 60 && stats.dropped == 0 && stats.hops_put_off == 0);
        CHECK((stream.latency(Stage::queue).count == 60) == is_live);
        CHECK(stream.latency(Stage::decode).count == 6 && stream.latency(Stage::scale).p50 <= stream.latency(Stage::scale).p99);
    }
    CHECK(told(made[0]) == told(made[1]));
    const std::vector<std::string> expected{"open red", "closed red", "open green", "closed green", "open blue", "closed blue"};
    CHECK(told(made[0]) == expected);
    for (std::size_t i = 0; i < made[0].size(); ++i) {
        CHECK(made[0][i].start == made[1][i].start && made[0][i].end == made[1][i].end);
        CHECK(made[0][i].embedding == made[1][i].embedding && made[1][i].latency_ms > 0.0);
    }
}

void push_copies_the_frame(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.encode_ms = 20;
    Stream stream(model, one(), live());
    std::vector<std::uint8_t> memory(3 * 8 * 16, 0);
    Picture picture;
    picture.width = picture.height = 8;
    picture.strides[0] = 48;  // rows with a gap
    picture.planes[0] = memory.data();
    for (std::size_t i = 0; i < memory.size(); i += 3) memory[i] = 255;
    stream.push(picture, 0.0);
    std::fill(memory.begin(), memory.end(), 7);
    stream.flush();
    behaviour.encode_ms = 0;
    CHECK(told(stream.poll()).front() == "open red");
}

void the_latest_win_and_every_frame_is_counted(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.encode_ms = 60;  // longer than a frame's time
    StreamOptions options = live();
    options.queue = 3;
    Stream stream(model, one(), options);
    for (int i = 0; i < 40; ++i) {
        stream.push(kRed.picture(), i * kPeriod);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    stream.flush();
    behaviour.encode_ms = 0;
    const StreamStats stats = stream.stats();
    CHECK(outcomes(stats) == 40 && stats.dropped > 10 && stats.encoded > 3);
    CHECK(stream.poll().back().end == 39 * kPeriod);  // the newest frame was seen
}

void hops_are_left_out_before_frames(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.predict_ms = 60;
    StreamOptions options = live();
    options.max_staleness = 0.4;
    Stream stream(model, one(), options);
    for (int i = 0; i < 40; ++i) {
        stream.push(kRed.picture(), i * kPeriod);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stream.flush();
    behaviour.predict_ms = 0;
    const StreamStats stats = stream.stats();
    CHECK(stats.encoded == 40 && stats.hops < 30 && stats.hops + stats.hops_put_off == 40);
}

void a_frame_that_waits_too_long_is_stale(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.predict_ms = 60;
    StreamOptions options = live();
    options.max_staleness = 0.02;
    Stream stream(model, one(), options);
    for (int i = 0; i < 10; ++i) stream.push(kRed.picture(), i * kPeriod);
    stream.flush();
    behaviour.predict_ms = 0;
    const StreamStats stats = stream.stats();
    CHECK(outcomes(stats) == 10 && stats.stale >= 5 && stats.encoded >= 1);
}

void silence_is_a_stall(const std::shared_ptr<const Model>& model) {
    StreamOptions options = live();
    options.gap = 0.1;
    Stream stream(model, one(), options);
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    CHECK(stream.stats().stalls == 0);  // no frame came yet
    stream.push(kRed.picture(), 5.0);
    stream.push(kRed.picture(), 5.0 + kPeriod);
    wait_until([&] { return stream.stats().stalls == 1; });
    wait_until([&] { return stream.stats().events == 3; });
    const std::vector<Event> events = stream.poll();
    CHECK((told(events) == std::vector<std::string>{"open red", "closed red", "stalled "}));
    const Event& stall = events.back();
    CHECK(stall.start == 5.0 + kPeriod && !stall.end && stall.decided_at >= stall.start + 0.1 && stall.segment == -1);
    CHECK(stall.to_json().find("\"status\": \"stalled\"") != std::string::npos && stall.embedding == std::vector<float>(4));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    CHECK(stream.stats().stalls == 1);
    stream.push(kBlue.picture(), 9.0);
    stream.flush();  // silence after it is no stall
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    CHECK(stream.stats().stalls == 1 && stream.stats().gaps == 1);
    CHECK((told(stream.poll()) == std::vector<std::string>{"open blue", "closed blue"}));
}

void a_frozen_camera_is_silent(const std::shared_ptr<const Model>& model) {
    StreamOptions options = live();
    options.gap = 0.1;
    for (const double step : {0.0, -0.001, std::numeric_limits<double>::quiet_NaN(), 0.01}) {
        const Picture picture = step > 0.0 ? Picture{} : kRed.picture();
        Stream stream(model, one(), options);
        stream.push(kRed.picture(), 5.0);
        int pushed = 0;
        wait_until([&] {
            try {
                stream.push(picture, 5.0 + ++pushed % 50 * step);
            } catch (const FrameError&) {
            }
            return stream.stats().stalls == 1;
        });
        CHECK(stream.stats().encoded == 1);
    }
}

void silence_after_a_frame_that_came_just_before_a_stall_was_told_is_a_stall(const std::shared_ptr<const Model>& model,
                                                                               Behaviour& behaviour) {
    StreamOptions options = live();
    options.gap = 0.1;
    Stream stream(model, one(), options);
    stream.push(kRed.picture(), 0.0);
    wait_until([&] { return stream.stats().encoded == 1; });
    behaviour.decode_ms = 150;  // twice, as the end is a token
    std::thread other([&] { stream.set_policy("uniform:period=2"); });  // its text is decoded while the worker waits
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stream.push(kBlue.picture(), 0.2);
    other.join();
    behaviour.decode_ms = 0;
    wait_until([&] { return stream.stats().stalls == 1; });
    wait_until([&] { return stream.stats().events == 5; });
    const std::vector<Event> events = stream.poll();
    CHECK((told(events) == std::vector<std::string>{"open red", "closed red", "open blue", "closed blue", "stalled "}));
    CHECK(events.back().start == 0.2);
}

void a_graph_that_fails_is_counted_and_kept(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    std::atomic<int> errors{0};
    Listeners listeners;
    listeners.on_error = [&](const std::string& what) {
        ++errors;
        CHECK(what.find("told to fail") != std::string::npos);
    };
    Stream stream(model, one(), live(), listeners);
    CHECK(stream.last_error().empty());
    stream.push(kRed.picture(), 0.0);
    wait_until([&] { return stream.stats().encoded == 1; });
    CHECK(stream.failing() == 0);
    behaviour.encode_fails = true;
    stream.push(kRed.picture(), 1.0 * kPeriod + 0.001);
    stream.push(kGreen.picture(), 2.0 * kPeriod + 0.001);
    wait_until([&] { return outcomes(stream.stats()) == 3; });
    CHECK(stream.failing() == 2);  // two frames in a row
    behaviour.encode_fails = false;
    behaviour.decode_fails = true;
    stream.push(kBlue.picture(), 1.5);  // the policy cuts here
    wait_until([&] { return outcomes(stream.stats()) == 4; });
    behaviour.decode_fails = false;
    CHECK(stream.failing() == 2);  // the frame's hop succeeded, two texts did not
    stream.push(kBlue.picture(), 1.6);
    stream.flush();
    CHECK(stream.failing() == 0);
    const StreamStats stats = stream.stats();
    CHECK(stats.errors == 3 && errors == 3 && stats.encoded == 2);
    CHECK(stream.last_error() == "a live stream failed on a frame: y_decoder: it was told to fail");
    CHECK((told(stream.poll()) == std::vector<std::string>{"open red", "closed ", "open ", "closed blue"}));
    stream.reset();
    CHECK(stream.last_error().empty() && stream.stats().frames == 0);
    behaviour.encode_fails = true;
    stream.push(kRed.picture(), 0.0);
    wait_until([&] { return stream.failing() == 1; });
    behaviour.encode_fails = false;
    stream.reset();
    CHECK(stream.failing() == 0);
}

void bad_frames_are_errors_of_push(const std::shared_ptr<const Model>& model) {
    Stream stream(model, one(), live());
    CHECK_THROWS(stream.push(Picture{}, 0.0), FrameError);
    stream.push(kRed.picture(), 0.01);
    stream.flush();
    CHECK(stream.stats().errors == 1 && stream.stats().encoded == 1);
    StreamOptions options = live();
    options.queue = 0;
    CHECK_THROWS(Stream(model, one(), options), InputError);
    options = live();
    options.max_staleness = 0.0;
    CHECK_THROWS(Stream(model, one(), options), InputError);
}

void a_listener_may_do_anything_but_end_it(const std::shared_ptr<const Model>& model) {
    Stream* self = nullptr;
    std::mutex mutex;
    std::vector<Event> heard;
    Listeners listeners;
    listeners.on_event = [&](const Event& event) {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            heard.push_back(event);
        }
        if (self->stats().events == 1) self->set_policy("uniform:period=0.5");
        if (event.status == Status::closed && event.segment == 1) throw std::runtime_error("enough");
        if (event.status == Status::open && event.segment == 2) self->flush();
        if (event.status == Status::open && event.segment == 3) self->close();
    };
    Stream stream(model, one(), live(), listeners);
    self = &stream;
    for (int i = 0; i < 200; ++i) {
        try {
            stream.push(kRed.picture(), i * kPeriod);
        } catch (const InputError&) {
            break;  // closed
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stream.close();
    const StreamStats stats = stream.stats();
    CHECK(stats.callback_errors == 1 && stats.unpolled == 0 && outcomes(stats) == stats.frames);
    CHECK(stream.last_error() == "a listener failed: enough");
    CHECK(heard.size() >= 5 && stream.poll().size() == heard.size());
}

void who_is_told_of_an_error_may_call_any_method(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    Stream* self = nullptr;
    std::atomic<int> told_of{0};
    Listeners listeners;
    listeners.on_error = [&](const std::string&) {
        self->queries();
        self->set_policy("uniform:period=2");
        self->flush();
        self->reset();
        if (told_of == 1) self->close();
        ++told_of;
    };
    StreamOptions options = live();
    options.gap = 0.1;
    options.decode = Decode::closed;
    Stream stream(model, one(), options, listeners);
    self = &stream;
    behaviour.encode_fails = true;
    stream.push(kRed.picture(), 0.0);
    wait_until([&] { return told_of == 1; });
    behaviour.encode_fails = false;
    behaviour.decode_fails = true;
    stream.push(kRed.picture(), 1.0);
    wait_until([&] { return told_of == 2; });  // of the text of what ends with the stall
    behaviour.decode_fails = false;
    CHECK_THROWS(stream.push(kRed.picture(), 2.0), InputError);
}

void close_drops_what_waits(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.encode_ms = 30;
    Stream stream(model, one(), live());
    for (int i = 0; i < 20; ++i) stream.push(kRed.picture(), i * kPeriod);
    stream.close();
    stream.close();
    behaviour.encode_ms = 0;
    const StreamStats stats = stream.stats();
    CHECK(outcomes(stats) == 20 && stats.dropped >= 10);
    CHECK_THROWS(stream.push(kRed.picture(), 9.0), InputError);
    CHECK_THROWS(stream.flush(), InputError);
    CHECK_THROWS(stream.reset(), InputError);
    CHECK_THROWS(stream.set_policy("uniform"), InputError);
    stream.poll();
    const Stream never_used(model, one(), live());
}

void queries_change_while_it_runs(const std::shared_ptr<const Model>& model) {
    for (const bool is_live : {false, true}) {
        StreamOptions options = live();
        options.live = is_live;
        options.policy = "uniform:period=1";
        Stream stream(model, one(), options);
        const auto push = [&](const stand_in::Colour& colour, double time) {
            stream.push(colour.picture(), time);
            wait_until([&] { return outcomes(stream.stats()) == stream.stats().frames; });
        };
        push(kRed, 0.0);
        stream.add_query(stand_in::query("And?", 1.0F), "uniform:period=0.1");
        CHECK_THROWS(stream.add_query(stand_in::query("And?")), InputError);
        CHECK_THROWS(stream.add_query(stand_in::query("So?"), "waves"), InputError);
        push(kGreen, 0.3);
        push(kBlue, 0.6);
        CHECK((stream.queries() == std::vector<std::string>{"What?", "And?"}));
        stream.remove_query("What?");
        CHECK_THROWS(stream.remove_query("What?"), InputError);
        CHECK_THROWS(stream.remove_query("And?"), InputError);  // one must stay
        stream.set_queries({stand_in::query("New?")});
        CHECK_THROWS(stream.set_queries({stand_in::query("a"), stand_in::query("a")}), InputError);
        push(kRed, 0.9);
        stream.set_policy("uniform:period=0.2");
        push(kRed, 1.2);
        push(kRed, 1.5);
        stream.set_queries({});
        push(kRed, 1.8);
        stream.flush();
        std::map<std::string, std::vector<double>> ends;
        for (const Event& event : stream.poll()) {
            if (event.end) ends[event.query].push_back(*event.end);
        }
        CHECK((ends["What?"] == std::vector<double>{0.6}));
        CHECK(ends["And?"].size() == 2 && ends["And?"].back() == 0.6);
        CHECK(ends["New?"].size() == 3 && ends["New?"][0] == 0.9 && ends["New?"][2] == 1.5);
        CHECK(stream.queries().empty() && stream.stats().hops == 7);
    }
}

void labels_and_heads_are_watched(const std::shared_ptr<const Model>& model) {
    const auto labels = std::make_shared<const Labels>(
        std::vector<std::string>{"red", "blue"}, stand_in::query("What?"),
        std::vector<float>{1, 0, 0, 0, 0, 0, 1, 0, /* the bank */ 0, 1, 0, 0, 0, 0, 0, 1}, 4, Calibrator{true, 4.0, -4.0, {}});
    const auto head = std::make_shared<const TaughtHead>(
        TaughtHead{{"greening"}, Head(std::vector<float>{0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0}, {0}, 4.0, -8.0), 0.6});
    std::vector<std::vector<Event>> made;
    for (const bool is_live : {false, true}) {
        StreamOptions options = live();
        options.live = is_live;
        options.decode = Decode::none;
        Stream stream(model, one(), options);
        stream.watch(labels, {0.7, 0.7}, 0.1);
        stream.add_head(head, 0.1);
        CHECK_THROWS(stream.add_head(head), InputError);
        CHECK_THROWS(stream.watch(labels, {0.5}), InputError);
        CHECK_THROWS(stream.watch(labels, {0.5, 1.5}), InputError);
        CHECK_THROWS(stream.watch(labels, {}, -1.0), InputError);
        push_colours(stream);
        stream.flush();
        stream.watch(nullptr);
        stream.remove_head(head);
        CHECK_THROWS(stream.remove_head(head), InputError);
        push_colours(stream, 10.0);
        stream.flush();
        made.push_back(stream.poll());
        made.back().erase(std::remove_if(made.back().begin(), made.back().end(),
                                         [](const Event& event) { return event.status < Status::appeared; }),
                          made.back().end());
    }
    CHECK((told(made[0]) == std::vector<std::string>{"appeared red", "gone red", "began greening", "appeared blue", "ended greening", "gone blue"}));
    CHECK(told(made[0]) == told(made[1]));
    for (std::size_t i = 0; i < made[0].size(); ++i) {
        CHECK(made[0][i].start == made[1][i].start && made[0][i].end == made[1][i].end && made[0][i].segment == 0);
        CHECK(made[0][i].confidence == made[1][i].confidence && *made[0][i].confidence > 0.7);
    }
    CHECK(made[0][5].end == 59 * kPeriod && made[0][0].query == "What?" && made[0][2].query.empty());
    CHECK(made[0][2].start > 1.0 - kPeriod && made[0][2].start < 1.1);

    Stream stream(model, one());
    stream.add_head(std::make_shared<const TaughtHead>(TaughtHead{{"of another model"}, Head({1.0F}, {0.0F}, 1.0, 0.0), 0.5}));
    CHECK_THROWS(stream.push(kRed.picture(), 0.0), InputError);
}

void all_threads_at_once(const std::shared_ptr<const Model>& model, Behaviour& behaviour) {
    behaviour.encode_ms = 1;
    StreamOptions options = live();
    options.queue = 4;
    options.policy = "uniform:period=0.1";
    options.gap = 0.06;
    std::atomic<int> heard{0};
    Listeners listeners;
    listeners.on_event = [&](const Event&) { ++heard; };
    Stream stream(model, one(), options, listeners);
    std::atomic<bool> is_over{false};
    std::vector<std::thread> threads;
    const auto start = [&](auto work) {
        threads.emplace_back([&, work] {
            for (int i = 0; !is_over; ++i) {
                try {
                    work(i);
                } catch (const InputError&) {
                    // closed meanwhile, or a query that another thread has added or removed
                }
            }
        });
    };
    std::atomic<int> number{0};
    for (int camera = 0; camera < 2; ++camera) {
        start([&](int) {
            const int now = ++number;
            stream.push((now / 10 % 2 == 0 ? kRed : kBlue).picture(), now * kPeriod);
            std::this_thread::sleep_for(std::chrono::microseconds(now % 100 == 0 ? 100'000 : 1500));
        });
    }
    start([&](int i) {
        if (i % 2 == 0) stream.add_query(stand_in::query("And?", 1.0F), "uniform:period=0.2");
        else stream.remove_query("And?");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    });
    start([&](int i) {
        stream.poll();
        stream.stats();
        stream.last_error();
        stream.queries();
        stream.latency(Stage::hop);
        if (i % 7 == 0) stream.flush();
        if (i % 50 == 49) stream.reset();
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    std::thread closer([&] { stream.close(); });
    stream.close();
    closer.join();
    is_over = true;
    for (std::thread& thread : threads) thread.join();
    behaviour.encode_ms = 0;
    CHECK(heard > 0);
}

void many_streams_share_a_model(const std::shared_ptr<const Model>& model) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(std::make_unique<Stream>(model, one(), live()));
    for (auto& stream : streams) push_colours(*stream);
    for (auto& stream : streams) stream->flush();
    for (auto& stream : streams) CHECK(stream->poll().size() == 6);
}

}  // namespace

int main() {
    Behaviour behaviour;
    const auto model = stand_in::load(behaviour);
    a_worker_makes_the_events_that_push_makes(model);
    push_copies_the_frame(model, behaviour);
    the_latest_win_and_every_frame_is_counted(model, behaviour);
    hops_are_left_out_before_frames(model, behaviour);
    a_frame_that_waits_too_long_is_stale(model, behaviour);
    silence_is_a_stall(model);
    a_frozen_camera_is_silent(model);
    silence_after_a_frame_that_came_just_before_a_stall_was_told_is_a_stall(model, behaviour);
    a_graph_that_fails_is_counted_and_kept(model, behaviour);
    bad_frames_are_errors_of_push(model);
    a_listener_may_do_anything_but_end_it(model);
    who_is_told_of_an_error_may_call_any_method(model, behaviour);
    close_drops_what_waits(model, behaviour);
    queries_change_while_it_runs(model);
    labels_and_heads_are_watched(model);
    all_threads_at_once(model, behaviour);
    many_streams_share_a_model(model);
}
