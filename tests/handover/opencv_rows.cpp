// Does OpenCV's dnn module find what print_rows wrote down?
//   opencv_rows CFG WEIGHTS INPUT ROWS [THRESH]
// Boxes within 1e-4 of the input's size (of its own, a box that is larger than the input), objectness and
// class scores within 1e-5. THRESH is the score below which OpenCV's [yolo] puts 0, its `thresh`. Prints the
// largest differences; exit status 1 where one is too large.
#include <opencv2/dnn.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int BOX = 4; // columns of a row: x, y, w, h; objectness; classes

// INPUT and ROWS: some int32 that say the shape, then floats.
cv::Mat read_floats(const std::string &path, int dims, bool as_batch) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::int32_t> head(dims);
    file.read(reinterpret_cast<char *>(head.data()), static_cast<std::streamsize>(head.size() * 4));
    std::vector<int> shape(head.begin(), head.end());
    if (as_batch) shape.insert(shape.begin(), 1);
    if (!file || *std::min_element(shape.begin(), shape.end()) < 1)
        throw std::runtime_error(path + ": no shape");
    cv::Mat values(shape, CV_32F);
    file.read(values.ptr<char>(), static_cast<std::streamsize>(values.total() * 4));
    if (!file) throw std::runtime_error(path + ": too short");
    return values;
}

// A NaN must count as the largest.
void raise(double &largest, double difference) {
    if (!(difference <= largest)) largest = difference;
}

struct Differences {
    double box = 0, objectness = 0, score = 0;
    int scores = 0; // compared above the threshold
};

// A score that OpenCV put to 0 is one that is not above the threshold, within the tolerance.
double score_difference(float ours, float theirs, float thresh, int &compared) {
    if (theirs == 0) return std::max(0.0, static_cast<double>(ours) - thresh);
    ++compared;
    return std::fabs(static_cast<double>(ours) - theirs);
}

int compare(const cv::Mat &ours, const std::vector<cv::Mat> &outs, float thresh, Differences &d) {
    int row = 0;
    for (const cv::Mat &theirs : outs)
        for (int i = 0; i < theirs.rows; ++i, ++row) {
            if (row == ours.rows || theirs.cols != ours.cols)
                throw std::runtime_error("other rows or columns");
            const float *a = ours.ptr<float>(row), *b = theirs.ptr<float>(i);
            for (int k = 0; k < BOX; ++k)
                raise(d.box, std::fabs(static_cast<double>(a[k]) - b[k]) / std::max(1.0f, std::fabs(a[k])));
            raise(d.objectness, std::fabs(static_cast<double>(a[BOX]) - b[BOX]));
            for (int k = BOX + 1; k < ours.cols; ++k)
                raise(d.score, score_difference(a[k], b[k], thresh, d.scores));
        }
    if (row != ours.rows) throw std::runtime_error("other rows");
    return row;
}

int run(int argc, char **argv) {
    if (argc != 5 && argc != 6) {
        std::cerr << "usage: opencv_rows CFG WEIGHTS INPUT ROWS [THRESH]\n";
        return 2;
    }
    const float thresh = argc == 6 ? std::strtof(argv[5], nullptr) : 0;
    cv::dnn::Net net = cv::dnn::readNetFromDarknet(argv[1], argv[2]);
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    net.setInput(read_floats(argv[3], 3, true));
    std::vector<cv::Mat> outs;
    net.forward(outs, net.getUnconnectedOutLayersNames());
    Differences d;
    const int rows = compare(read_floats(argv[4], 2, false), outs, thresh, d);
    std::printf(
        "OpenCV %s: %d rows, %d scores above %g; largest difference: box %.2e, objectness %.2e, score %.2e\n",
        CV_VERSION, rows, d.scores, static_cast<double>(thresh), d.box, d.objectness, d.score);
    return d.scores > 0 && d.box <= 1e-4 && d.objectness <= 1e-5 && d.score <= 1e-5 ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        std::cerr << "opencv_rows: " << error.what() << '\n';
        return 1;
    }
}
