// Policies hold fixed memory: a push allocates nothing, but for the mean of a segment that it closes.
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "check.hpp"
#include "vljepa/stream.hpp"

namespace {

std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main() {
    constexpr std::size_t kWidth = 48;
    constexpr std::size_t kRows = 40;
    const std::vector<float> rows = random_units(kRows, kWidth, 1);
    for (const char* text : {"uniform:period=3", "local-variance:smooth=3", "running-ward:smooth=4,back=0.5",
                             "running-ward", "budget:per_minute=60,burst=3", "budget:smooth=2"}) {
        const std::unique_ptr<vljepa::Policy> policy = vljepa::make_policy(text, kWidth);
        std::size_t closed = 0;
        for (int turn = 0; turn < 2; ++turn) {
            for (std::size_t hop = 0; hop < 4000; ++hop) {
                // Scenes of ten hops, with a hop of another scene now and then.
                const std::size_t scene = (hop % 17 == 3 ? hop : hop / 10) % kRows;
                const std::size_t before = allocations;
                const double time = 0.25 * static_cast<double>(hop);
                const bool closes = policy->push(rows.data() + scene * kWidth, kWidth, time).closed.has_value();
                CHECK(allocations - before == (closes ? 1U : 0U));
                closed += closes ? 1 : 0;
            }
            policy->reset();
        }
        CHECK(closed > 100);
    }
}
