// The node `vljepa` in C++: images of a camera in, what happens in them out.
//
// NOT VERIFIED ON ROS: it was never compiled against rclcpp. What it does is in camera.cpp, which is tested without ROS
// (bindings/tests/test_ros_camera.cpp); here messages and parameters are handed on.

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <rcl_interfaces/msg/set_parameters_result.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <std_msgs/msg/string.hpp>
#include <vljepa/error.hpp>

#include "vljepa_ros_cpp/camera.hpp"

namespace {

constexpr std::size_t kEvents = 10;  // that may wait for a slow subscriber
constexpr std::array<const char*, 8> kFixed{"clock", "decode", "engine", "image", "model", "reuse", "still", "threads"};
constexpr int kQuiet = 10'000;       // milliseconds between two warnings of the same kind

/// Subscribes to `image`, publishes `~/events`: std_msgs/String with the JSON of an event. The parameters query, policy and
/// watch may change while it runs: the service ~/set_parameters, which every node has, changes the query.
class VljepaNode final : public rclcpp::Node {
  public:
    VljepaNode() : rclcpp::Node("vljepa") {
        vljepa::ModelOptions options;
        options.engine = declare_parameter<std::string>("engine", "openvino");
        options.threads = static_cast<int>(declare_parameter<std::int64_t>("threads", 0));
        vljepa_ros::Settings settings;
        settings.query = declare_parameter<std::string>("query", settings.query);
        settings.policy = declare_parameter<std::string>("policy", settings.policy);
        settings.watch = declare_parameter<std::string>("watch", settings.watch);
        settings.decode = declare_parameter<std::string>("decode", settings.decode);
        settings.clock = declare_parameter<std::string>("clock", settings.clock);
        settings.still = declare_parameter<double>("still", settings.still);
        settings.reuse = declare_parameter<double>("reuse", settings.reuse);
        publisher_ = create_publisher<std_msgs::msg::String>("~/events", kEvents);
        camera_ = std::make_unique<vljepa_ros::Camera>(
            vljepa::Model::load(declare_parameter<std::string>("model", ""), options), settings,
            [publisher = publisher_](const std::string& line) {
                std_msgs::msg::String message;
                message.data = line;
                publisher->publish(message);
            },
            [logger = get_logger(), clock = get_clock()](const std::string& what) {
                RCLCPP_WARN_THROTTLE(logger, *clock, kQuiet, "%s", what.c_str());
            });
        // As sensors publish, and the newest image only: while one is looked at, those that it makes old are let go.
        subscription_ = create_subscription<sensor_msgs::msg::Image>(
            declare_parameter<std::string>("image", "image"), rclcpp::SensorDataQoS().keep_last(1),
            [this](const sensor_msgs::msg::Image::ConstSharedPtr& message) { see(*message); });
        changing_ = add_on_set_parameters_callback(
            [this](const std::vector<rclcpp::Parameter>& parameters) { return change(parameters); });
    }

    /// Publishes the events of what was going on, and ends.
    void close() { camera_->close(); }

  private:
    void see(const sensor_msgs::msg::Image& message) {
        try {
            camera_->see({message.encoding, message.width, message.height, message.step, message.data.data(),
                          message.data.size()},
                         rclcpp::Time(message.header.stamp).seconds(), now().seconds());
        } catch (const std::exception& error) {
            RCLCPP_WARN_THROTTLE(get_logger(), *get_clock(), kQuiet, "%s", error.what());
        }
    }

    rcl_interfaces::msg::SetParametersResult change(const std::vector<rclcpp::Parameter>& parameters) {
        rcl_interfaces::msg::SetParametersResult result;
        result.successful = true;
        try {
            vljepa_ros::Change change;
            for (const rclcpp::Parameter& parameter : parameters) {
                const std::string& name = parameter.get_name();
                if (name == "query") change.query = parameter.as_string();
                else if (name == "policy") change.policy = parameter.as_string();
                else if (name == "watch") change.watch = parameter.as_string();
                else if (std::find(kFixed.begin(), kFixed.end(), name) != kFixed.end()) throw vljepa::InputError(name + " can't change while the node runs");
            }
            camera_->change(change);
        } catch (const std::exception& error) {
            result.successful = false;
            result.reason = error.what();
        }
        return result;
    }

    rclcpp::Publisher<std_msgs::msg::String>::SharedPtr publisher_;
    std::unique_ptr<vljepa_ros::Camera> camera_;
    rclcpp::Subscription<sensor_msgs::msg::Image>::SharedPtr subscription_;
    OnSetParametersCallbackHandle::SharedPtr changing_;
};

}  // namespace

int main(int argc, char** argv) {
    rclcpp::init(argc, argv);
    try {
        const auto node = std::make_shared<VljepaNode>();
        rclcpp::spin(node);
        node->close();
    } catch (const std::exception& error) {
        RCLCPP_FATAL(rclcpp::get_logger("vljepa"), "%s", error.what());
        rclcpp::shutdown();
        return 1;
    }
    rclcpp::shutdown();
    return 0;
}
