#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace vljepa {

/// A bounded queue between a camera and a worker: the latest items win. At most `size` items; put() never waits: it pushes
/// the oldest out. One thread gets, any may put. Items that are done with are kept as spares, so that their memory is used
/// again.
template <typename T>
class LatestQueue {
  public:
    explicit LatestQueue(std::size_t size) : size_(size) {}

    /// An item to fill: one that was done with before, where there is one.
    T spare() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (spares_.empty()) return T();
        T item = std::move(spares_.back());
        spares_.pop_back();
        return item;
    }

    /// Adds an item; true when an older one was dropped for it, or the item because the queue is closed.
    bool put(T item) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (is_closed_) return true;
        const bool is_full = count_ == size_;
        if (is_full) {
            spares_.push_back(pop().second);
        } else if (count_ == slots_.size()) {
            std::rotate(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(first_), slots_.end());
            first_ = 0;
            slots_.emplace_back();
        }
        slots_[(first_ + count_++) % slots_.size()] = {++added_, std::move(item)};
        changed_.notify_all();
        return is_full;
    }

    /// Items that wait.
    std::size_t size() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return count_;
    }

    bool is_closed() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return is_closed_;
    }

    /// Waits for the oldest item and takes it; nothing once the queue is closed, or after `timeout` seconds without an
    /// item. Call done() when finished with it.
    std::optional<T> get(double timeout) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait_for(lock, std::chrono::duration<double>(timeout), [this] { return count_ > 0 || is_closed_; });
        if (is_closed_ || count_ == 0) return std::nullopt;
        auto [number, item] = pop();
        working_ = number;
        return std::move(item);
    }

    /// Puts the newest item, to work on, in place of `item`, which was taken. Returns how many are dropped for it.
    std::size_t newest(T& item) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::size_t dropped = count_;
        while (count_ > 0) {
            auto [number, newer] = pop();
            spares_.push_back(std::exchange(item, std::move(newer)));
            working_ = number;
        }
        changed_.notify_all();
        return dropped;
    }

    /// The item that was taken is finished.
    void done(std::optional<T> item) {
        const std::lock_guard<std::mutex> lock(mutex_);
        working_.reset();
        if (item) spares_.push_back(std::move(*item));
        changed_.notify_all();
    }

    /// Waits until everything that was put before this call is finished or dropped, or the queue is closed.
    void join() {
        std::unique_lock<std::mutex> lock(mutex_);
        const std::int64_t last = added_;
        changed_.wait(lock, [this, last] { return is_closed_ || oldest() > last; });
    }

    /// Drops what waits. Returns how many items were dropped.
    std::size_t clear() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return drop_all();
    }

    /// Drops what waits and releases whoever waits. Returns how many items were dropped.
    std::size_t close() {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_closed_ = true;
        return drop_all();
    }

  private:
    using Numbered = std::pair<std::int64_t, T>;

    Numbered pop() {
        Numbered item = std::move(slots_[first_]);
        first_ = (first_ + 1) % slots_.size();
        --count_;
        return item;
    }

    std::size_t drop_all() {
        const std::size_t dropped = count_;
        while (count_ > 0) spares_.push_back(pop().second);
        changed_.notify_all();
        return dropped;
    }

    // The number of the oldest item that is queued or in work; beyond all when there is none.
    std::int64_t oldest() const {
        if (working_) return *working_;
        return count_ > 0 ? slots_[first_].first : added_ + 1;
    }

    std::size_t size_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Numbered> slots_;  // a ring that grows until it has `size_` places
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    std::vector<T> spares_;
    std::int64_t added_ = 0;
    std::optional<std::int64_t> working_;
    bool is_closed_ = false;
};

}  // namespace vljepa
