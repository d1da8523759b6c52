// The core of the ROS 2 node (ros2/vljepa_ros_cpp), without ROS: messages in, lines of JSON out, parameters that change.

#include "vljepa_ros_cpp/camera.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bundle/json.hpp"
#include "check.hpp"
#include "stand_in.hpp"
#include "vljepa/error.hpp"

namespace {

using namespace vljepa_ros;
using stand_in::kSide;

constexpr double kStart = 1.7e9;  // as stamps are

// An image of one colour in an encoding, whose rows are padded. `colour`: red, green and blue, 0 or 255.
struct Image {
    Image(std::string name, const std::array<int, 3>& colour) : encoding(std::move(name)) {
        const auto [r, g, b] = colour;
        const auto fill = [&](std::uint32_t rows, std::size_t row, const std::vector<int>& pixel) {
            for (std::uint32_t y = 0; y < rows; ++y) {
                for (std::size_t x = 0; x < kStep; ++x) {
                    bytes.push_back(static_cast<std::uint8_t>(x < row ? pixel[x % pixel.size()] : 0xAA));
                }
            }
        };
        const auto limited = [](double share) { return static_cast<int>(16.5 + 219.0 * share); };
        const int y = limited((0.299 * r + 0.587 * g + 0.114 * b) / 255.0);
        const int u = static_cast<int>(128.5 + 224.0 * (b / 255.0 - (0.299 * r + 0.587 * g + 0.114 * b) / 255.0) / 1.772);
        const int v = static_cast<int>(128.5 + 224.0 * (r / 255.0 - (0.299 * r + 0.587 * g + 0.114 * b) / 255.0) / 1.402);
        if (encoding == "rgb8") fill(kHeight, 3 * kWidth, {r, g, b});
        if (encoding == "bgr8" || encoding == "8UC3") fill(kHeight, 3 * kWidth, {b, g, r});
        if (encoding == "rgba8") fill(kHeight, 4 * kWidth, {r, g, b, 0});
        if (encoding == "bgra8" || encoding == "8UC4") fill(kHeight, 4 * kWidth, {b, g, r, 0});
        if (encoding == "mono8" || encoding == "8UC1") fill(kHeight, kWidth, {(r + g + b) / 3});
        if (encoding == "yuyv" || encoding == "yuv422_yuy2") fill(kHeight, 2 * kWidth, {y, u, y, v});
        if (encoding == "nv12") {
            fill(kHeight, kWidth, {y});
            fill(kHeight / 2, kWidth, {u, v});
        }
    }

    ImageView view() const { return {encoding, kWidth, kHeight, kStep, bytes.data(), bytes.size()}; }

    static constexpr std::uint32_t kWidth = 12;
    static constexpr std::uint32_t kHeight = 10;
    static constexpr std::uint32_t kStep = 4 * kWidth + 5;

    std::string encoding;
    std::vector<std::uint8_t> bytes;
};

// What a camera was told by: lines and warnings, which may come on the worker.
struct Told {
    void add(const std::string& line) {
        const std::lock_guard<std::mutex> lock(mutex);
        lines.push_back(line);
    }
    std::vector<std::string> take() {
        const std::lock_guard<std::mutex> lock(mutex);
        return std::exchange(lines, {});
    }

    std::mutex mutex;
    std::vector<std::string> lines;
};

struct Node {
    explicit Node(const Settings& settings) : camera(model(), settings, [this](const auto& l) { lines.add(l); },
                                                     [this](const auto& w) { warnings.add(w); }) {}

    static std::shared_ptr<const vljepa::Model> model() {
        static stand_in::Behaviour behaviour;
        static const auto kModel = stand_in::load(behaviour);
        return kModel;
    }

    // Images of one colour at the model's rate, each finished before the next comes.
    void see(const Image& image, int count) {
        for (int i = 0; i < count; ++i) {
            camera.see(image.view(), kStart + seen / stand_in::kFps, 5.0 + seen / stand_in::kFps);
            ++seen;
            for (int wait = 0; wait < 10'000 && camera.stats().encoded < seen; ++wait) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }

    Told lines;
    Told warnings;
    int seen = 0;
    Camera camera;
};

Settings by(const std::string& policy) {
    Settings settings;
    settings.policy = policy;
    return settings;
}

std::string text_of(const std::string& line, const char* key) {
    const vljepa::Json json = vljepa::parse_json(line);
    const vljepa::Json* value = json.find(key);
    CHECK(value != nullptr);
    return value->text() == nullptr ? value->shown() : *value->text();
}

std::string error_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

void each_encoding_shows_its_colour() {
    for (const char* encoding : {"rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "8UC4", "yuyv", "yuv422_yuy2", "nv12"}) {
        const std::array<std::pair<const char*, std::array<int, 3>>, 3> colours{
            {{"red", {255, 0, 0}}, {"green", {0, 255, 0}}, {"blue", {0, 0, 255}}}};
        for (const auto& [name, colour] : colours) {
            vljepa::Scaler scaler;
            std::vector<std::uint8_t> scaled(3 * kSide * kSide);
            const Image image(encoding, colour);
            scaler.fit(picture_of(image.view()), kSide, kSide, vljepa::Resize::stretch, scaled.data());
            for (std::size_t i = 0; i < scaled.size(); ++i) CHECK_NEAR(int{scaled[i]}, colour[i % 3], 3);
        }
    }
    vljepa::Scaler scaler;
    std::vector<std::uint8_t> scaled(3 * kSide * kSide);
    scaler.fit(picture_of(Image("mono8", {255, 255, 0}).view()), kSide, kSide, vljepa::Resize::stretch, scaled.data());
    for (const std::uint8_t value : scaled) CHECK(value == 170);
}

void what_is_no_image_is_refused() {
    const Image image("nv12", {255, 0, 0});
    const auto refused = [&](auto&& change) {
        ImageView view = image.view();
        change(view);
        return error_of([&] { picture_of(view); });
    };
    CHECK(refused([](ImageView&) {}).empty());
    CHECK(refused([](ImageView& v) { v.encoding = "bayer_rggb8"; }).find("got \"bayer_rggb8\"") != std::string::npos);
    CHECK(refused([](ImageView& v) { v.width = 0; }) == "an image must have 1 to 134217728 pixels, got 0 x 10");
    CHECK(refused([](ImageView& v) { v.width = v.height = 4'000'000'000U; }).find("an image must have") == 0);
    CHECK(refused([](ImageView& v) { v.step = 11; }) == "the step of 12 nv12 pixels must be at least 12 bytes, got 11");
    CHECK(refused([](ImageView& v) { v.size = 0; }).find("12 x 10 in nv12 must have ") == 0);
    CHECK(refused([](ImageView& v) { v.size = v.step * 14 + 12; }).empty());
    CHECK(!refused([](ImageView& v) { v.size = v.step * 14 + 11; }).empty());
    CHECK(refused([](ImageView& v) { v.data = nullptr; }).find("12 x 10 in nv12 must have ") == 0);
}

void images_become_lines_on_the_clock_of_their_headers() {
    Node node(by("running-ward:threshold=0.2"));
    node.see(Image("bgr8", {255, 0, 0}), 20);
    node.see(Image("nv12", {0, 0, 255}), 20);
    node.camera.close();
    node.camera.close();
    const std::vector<std::string> lines = node.lines.take();
    CHECK(lines.size() == 4);
    const std::array<const char*, 4> statuses{"open", "closed", "open", "closed"};
    const std::array<const char*, 4> texts{"red", "red", "blue", "blue"};
    for (std::size_t i = 0; i < lines.size(); ++i) {
        CHECK(text_of(lines[i], "type") == "event" && text_of(lines[i], "query") == "What?");
        CHECK(text_of(lines[i], "status") == statuses[i] && text_of(lines[i], "text") == texts[i]);
        CHECK(std::stod(text_of(lines[i], "start")) >= kStart);
    }
    CHECK(error_of([&] { node.see(Image("rgb8", {0, 0, 0}), 1); }) == "this stream is closed; open another");
}

void without_stamps_it_says_so_and_the_clock_of_arrival_is_a_choice() {
    const Image image("rgb8", {0, 255, 0});
    Node by_header(Settings{});
    CHECK(error_of([&] { by_header.camera.see(image.view(), 0.0, 5.0); }).find("set the parameter clock to arrival") !=
          std::string::npos);
    CHECK(by_header.camera.stats().frames == 0);
    Settings settings;
    settings.clock = "arrival";
    Node by_arrival(settings);
    by_arrival.see(image, 3);
    by_arrival.camera.close();
    CHECK(std::stod(text_of(by_arrival.lines.take().front(), "start")) == 5.0);
}

void parameters_change_all_or_nothing() {
    Settings settings = by("uniform:period=100");
    settings.watch = "blue,  red ";
    settings.decode = "none";
    Node node(settings);
    node.see(Image("rgb8", {255, 0, 0}), 30);
    std::vector<std::string> lines = node.lines.take();
    CHECK(lines.size() == 2);
    CHECK(text_of(lines[0], "status") == "open" && text_of(lines[0], "text").empty());
    CHECK(text_of(lines[1], "status") == "appeared" && text_of(lines[1], "text") == "red");

    const auto refused = [&](const Change& change) { return error_of([&] { node.camera.change(change); }); };
    CHECK(refused({"And?", "waves", ""}).find("policy must be one of uniform") == 0);
    CHECK(refused({"And?", "uniform", "red, the reds"}).find("the labels must all mean something else") == 0);
    CHECK(refused({"O\xC3\xB9?", std::nullopt, ""}).find("a text must be ASCII") == 0);
    CHECK(node.lines.take().empty());

    node.camera.change({"And?", "uniform:period=0.5", ""});
    lines = node.lines.take();
    CHECK(lines.size() == 2 && text_of(lines[0], "status") == "gone" && text_of(lines[1], "status") == "closed");
    node.see(Image("rgb8", {0, 255, 0}), 16);
    lines = node.lines.take();
    CHECK(lines.size() == 3 && text_of(lines[0], "query") == "And?");
    node.camera.change({"", std::nullopt, std::nullopt});
    CHECK(text_of(node.lines.take().front(), "status") == "closed");
    node.see(Image("rgb8", {0, 255, 0}), 1);
    CHECK(text_of(node.lines.take().front(), "query") == "What?");
    CHECK(node.warnings.take().empty());
}

void settings_that_are_none_are_refused() {
    const auto refused = [](const std::function<void(Settings&)>& change) {
        Settings settings;
        change(settings);
        return error_of([&] { const Node node(settings); });
    };
    CHECK(refused([](Settings& s) { s.clock = "wall"; }) == "clock must be one of header, arrival, got \"wall\"");
    CHECK(refused([](Settings& s) { s.decode = "all"; }) == "decode must be one of both, open, closed, none, got \"all\"");
    CHECK(refused([](Settings& s) { s.still = -1.0; }).find("still must be") == 0);
    CHECK(labels_of(" a cup ,, person\t,").size() == 2 && labels_of(" a cup ,, person\t,")[0] == "a cup" &&
          labels_of(" a cup ,, person\t,")[1] == "person" && labels_of("").empty());
}

}  // namespace

int main() {
    each_encoding_shows_its_colour();
    what_is_no_image_is_refused();
    images_become_lines_on_the_clock_of_their_headers();
    without_stamps_it_says_so_and_the_clock_of_arrival_is_a_choice();
    parameters_change_all_or_nothing();
    settings_that_are_none_are_refused();
}
