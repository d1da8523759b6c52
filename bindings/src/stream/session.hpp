#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "stream/analysis.hpp"
#include "stream/emitter.hpp"
#include "stream/item.hpp"
#include "stream/latest_queue.hpp"
#include "stream/options.hpp"
#include "stream/tally.hpp"
#include "stream/teller.hpp"
#include "vljepa/sampler.hpp"
#include "vljepa/stream.hpp"

namespace vljepa {

/// All state of a stream, and its worker. `door_` admits frames and is taken before `work_`, which guards what is made of
/// them; listeners are told with neither.
class Stream::Impl {
  public:
    Impl(const Model& model, std::vector<Query> queries, const StreamOptions& options, Listeners listeners);
    ~Impl();

    void push(const Picture& picture, double time);
    void flush();
    void reset();
    void close();

    /// Replaces the tracks by what `change` makes of them; those that go close their segments.
    void change(const std::function<Tracks(const Tracks&)>& change);
    Tracks tracks_for(std::vector<Query> queries) const;
    std::shared_ptr<Track> track_for(std::shared_ptr<const Query> query, const std::string& policy) const;
    std::vector<std::string> queries() const;

    void watch(std::optional<WatchedLabels> labels);
    void add_head(WatchedHead head);
    void remove_head(const std::shared_ptr<const TaughtHead>& head);

    std::string policy;  // of queries that are added without one; guarded as the tracks are
    Tally tally;
    Teller teller;
    Emitter emitter;

  private:
    template <typename F>
    void tell(F&& work);
    bool is_due(double time, Clock::time_point called);
    void admit(const Picture& picture, double time, Clock::time_point called, Item& item);
    void serve();
    void work_on(Item& item);
    double report_silence();
    void check_open() const;
    bool is_worker() const { return std::this_thread::get_id() == worker_id_; }

    const Model& model_;
    FilledOptions options_;
    Sampler sampler_;  // guarded by door_, as are the next three
    Item own_;         // the frame in work where push() does it
    std::int64_t admitted_ = 0;  // number of the newest frame
    std::int64_t stretch_ = 0;   // of the newest frame
    std::atomic<std::int64_t> life_{0};
    std::atomic<bool> is_closed_{false};
    std::atomic<Clock::time_point> arrived_;  // when the newest frame came that was good, due or not
    std::optional<LatestQueue<Item>> queue_;
    Analysis analysis_;  // guarded by work_, as is the next one
    bool expects_frames_ = false;  // whether silence would be a stall
    mutable std::mutex door_;
    mutable std::mutex work_;
    std::mutex joining_;
    std::thread worker_;
    std::thread::id worker_id_;
};

}  // namespace vljepa
