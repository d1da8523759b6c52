// A hop takes no memory from the system beyond what the engine takes: once a stream has seen a window, its frames and its hops
// need none, live or not, with queries, labels and heads. A live stream makes the copies that wait for its worker when they
// are first needed, which is when the worker is late: as many as its queue has places, the one in work and the one that is
// being filled.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

#include "check.hpp"
#include "stand_in.hpp"
#include "vljepa/stream.hpp"

namespace {

std::atomic<bool> counts{false};
std::atomic<int> taken{0};

void* take(std::size_t size) {
    if (counts && !stand_in::Behaviour::inside) ++taken;
    void* memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace vljepa;

constexpr int kWidth = 24;
constexpr int kHeight = 16;

// A picture that changes with each frame, and that is scaled.
void draw(std::vector<std::uint8_t>& pixels, int number) {
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint8_t>(100 + number % 7 + static_cast<int>(i) % 5);
    }
}

void push(Stream& stream, std::vector<std::uint8_t>& pixels, int number) {
    draw(pixels, number);
    Picture picture;
    picture.width = kWidth;
    picture.height = kHeight;
    picture.planes[0] = pixels.data();
    stream.push(picture, number / stand_in::kFps);
    const auto hops = [&] { return stream.stats().hops; };
    while (hops() <= number) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void hops_take_no_memory(const std::shared_ptr<const Model>& model, const char* policy, double still, bool is_live) {
    StreamOptions options;
    options.live = is_live;
    options.policy = policy;
    options.queue = 4;
    options.still = still;
    options.reuse = 0.05;
    Stream stream(model, {stand_in::query("What?"), stand_in::query("And?", 1.0F)}, options);
    const std::vector<float> rows{1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    stream.watch(std::make_shared<const Labels>(std::vector<std::string>{"red", "blue"}, stand_in::query("Which?", 2.0F), rows,
                                                4, Calibrator{true, 1.0, -9.0, {}}));
    stream.add_head(std::make_shared<const TaughtHead>(
        TaughtHead{{"dawn"}, Head(std::vector<float>(12, 0.1F), {0.0F}, 1.0, -9.0), 0.9}));
    std::vector<std::uint8_t> pixels(3 * kWidth * kHeight);
    int number = 0;
    while (number < 60) push(stream, pixels, number++);
    const std::int64_t before = stream.stats().events;
    taken = 0;
    counts = true;
    while (number < 160) push(stream, pixels, number++);
    counts = false;
    CHECK(stream.stats().events == before && stream.stats().encoded == 160);
    const int most = is_live ? 2 * (static_cast<int>(*options.queue) + 2) : 0;  // a copy, and its place among the spares
    if (taken > most) std::fprintf(stderr, "%d in 100 hops, %s, %s\n", taken.load(), policy, is_live ? "live" : "not live");
    CHECK(taken <= most);
}

}  // namespace

int main() {
    counts = true;
    std::vector<int> one(1);
    CHECK(taken == 1);  // they are counted
    counts = false;
    stand_in::Behaviour behaviour;
    const auto model = stand_in::load(behaviour);
    for (const bool is_live : {false, true}) {
        for (const char* policy : {"running-ward", "uniform:period=1000", "local-variance"}) {
            hops_take_no_memory(model, policy, 0.0, is_live);
        }
        hops_take_no_memory(model, "running-ward", 3.0, is_live);
    }
}
