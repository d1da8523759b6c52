// The queue between a camera and a worker, and the pace of the worker.

#include <atomic>
#include <thread>
#include <vector>

#include "check.hpp"
#include "stream/latest_queue.hpp"
#include "core/pace.hpp"

namespace {

using vljepa::LatestQueue;
using vljepa::Pace;

void latest_win() {
    LatestQueue<int> queue(3);
    for (int i = 0; i < 3; ++i) CHECK(!queue.put(i));
    CHECK(queue.put(3));
    CHECK(queue.size() == 3);
    for (int i = 1; i < 4; ++i) {
        CHECK(queue.get(0.0) == i);
        queue.done(std::nullopt);
    }
    CHECK(!queue.get(0.01));
}

void the_ring_grows_in_order() {
    LatestQueue<int> queue(100);
    int next = 0;
    int read = 0;
    for (int round = 0; round < 60; ++round) {
        for (int i = 0; i < 3; ++i) CHECK(!queue.put(next++));
        for (int i = 0; i < 2; ++i) {
            CHECK(queue.get(0.0) == read++);
            queue.done(std::nullopt);
        }
    }
    while (const auto item = queue.get(0.0)) {
        CHECK(*item == read++);
        queue.done(std::nullopt);
    }
    CHECK(read == next);
}

void newest_drops_what_waits() {
    LatestQueue<int> queue(5);
    for (int i = 0; i < 4; ++i) queue.put(i);
    int item = *queue.get(0.0);
    CHECK(queue.newest(item) == 3 && item == 3 && queue.size() == 0);
    CHECK(queue.newest(item) == 0 && item == 3);
    queue.done(item);
    CHECK(queue.spare() >= 0);
}

void close_releases_who_waits() {
    LatestQueue<int> queue(2);
    std::thread gets([&] { CHECK(!queue.get(60.0)); });
    CHECK(queue.close() == 0);
    gets.join();
    CHECK(queue.put(1) && queue.size() == 0);
}

void join_waits_for_what_was_put_before() {
    LatestQueue<int> queue(1000);
    std::atomic<int> finished{0};
    std::thread worker([&] {
        while (!queue.is_closed()) {
            if (!queue.get(0.001)) continue;
            ++finished;
            queue.done(std::nullopt);
        }
    });
    for (int round = 1; round <= 50; ++round) {
        for (int i = 0; i < 10; ++i) queue.put(i);
        queue.join();
        CHECK(finished == 10 * round);
    }
    queue.close();
    queue.join();
    worker.join();
}

void hops_are_left_out_first() {
    Pace pace(0.25, 1.0);
    pace.note_frame(0.05);
    CHECK(pace.can_hop(0.0, 0) && pace.can_hop(0.9, 3));
    CHECK(!pace.can_hop(1.1, 3) && !pace.can_hop(0.1, 1));  // it catches up until nothing waits
    CHECK(pace.can_hop(0.1, 0) && pace.can_hop(0.1, 1));
}

void where_encoding_is_too_slow_hops_take_half_the_time() {
    Pace pace(0.25, 1.0);
    pace.note_frame(0.3);
    CHECK(pace.keeps_up());  // one that was held up says nothing
    pace.note_frame(0.3);
    CHECK(!pace.keeps_up() && pace.can_hop(5.0, 2));
    pace.note_hop(1.0);
    for (int i = 0; i < 3; ++i) {
        pace.note_frame(0.3);
        CHECK(!pace.can_hop(5.0, 2));
    }
    pace.note_frame(0.3);
    CHECK(pace.can_hop(5.0, 2));
    pace.restart();
    CHECK(pace.keeps_up());
}

}  // namespace

int main() {
    latest_win();
    the_ring_grows_in_order();
    newest_drops_what_waits();
    close_releases_who_waits();
    join_waits_for_what_was_put_before();
    hops_are_left_out_first();
    where_encoding_is_too_slow_hops_take_half_the_time();
}
