# SPDX-License-Identifier: Apache-2.0
"""What the node publishes and when, with a fake pipeline, over real DDS."""

import numpy as np
from face_attributes_ros.msg import FaceAttributes
from harness import FACES, matched, picture
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.outputs import annotated


def test_every_output_carries_the_header_of_the_image(bench, start, camera):
    topics = {
        'faces': None, 'image_annotated': Image, 'image_annotated/compressed': CompressedImage,
        'markers': MarkerArray
    }
    heard = {
        name: bench.listen(f'/face_attributes/{name}', *filter(None, [kind]))[0]
        for name, kind in topics.items()
    }
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    node, _ = start()
    bench.spin_until(
        lambda: all(node.work.publishers[''].wanted(name) for name in topics) and matched(info)())
    info.publish(camera_info(64, 48))
    bench.spin_until(lambda: node.work.cameras[''].calibration is not None)
    sent = picture(stamp=bench.now(), frame_id='left_eye')
    camera(sent)
    bench.spin_until(lambda: all(heard.values()))
    headers = [heard[name][0].header for name in list(topics)[:3]
               ] + [marker.header for marker in heard['markers'][0].markers]
    assert headers == [sent.header] * len(headers)
    assert len(
        heard['markers'][0].markers) == 3  # delete all, head, caption: the fake gives no pose
    assert heard['image_annotated'][0].data != sent.data
    assert compressed.to_bgr(heard['image_annotated/compressed'][0]).shape == (48, 64, 3)


def test_message_says_what_the_pipeline_found(bench, listener, exchange):
    listener()
    message = exchange(picture(stamp=bench.now()))
    face, = message.faces
    assert (message.camera, message.image_width, message.image_height) == ('', 64, 48)
    assert (face.track_id, face.roi.x_offset, face.roi.y_offset, face.roi.width,
            face.roi.height) == ('f1', 16, 12, 32, 24)
    assert face.valid == (FaceAttributes.HAS_AGE | FaceAttributes.HAS_GENDER
                          | FaceAttributes.HAS_GENDER_PROBABILITY)
    assert (face.age, face.gender, message.model_id) == (30, FaceAttributes.FEMALE, 'fake+none')
    assert 0 < message.latency_ms < 10_000 and message.inference_ms > 0
    assert message.dropped_frames == 0


def test_image_without_faces_brings_an_empty_array(bench, listener, exchange):
    listener(faces=0)
    assert exchange(picture(stamp=bench.now())).faces == []


def test_nothing_is_computed_while_nobody_subscribes(bench, start, camera):
    node, (pipeline,) = start()
    camera_of_node = node.work.cameras['']
    assert camera_of_node.subscription is None
    node.set_parameters([Parameter('process_without_subscribers', value=True)])
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: len(pipeline.calls) == 1)
    node.set_parameters([Parameter('process_without_subscribers', value=False)])
    assert camera_of_node.subscription is None
    bench.spin_until(lambda: pipeline.resets == 1)


def test_a_camera_is_listened_to_while_somebody_listens_to_what_is_found(bench, start):
    node, _ = start(cameras=['a', 'b'])

    def listened():
        return [camera.subscription is not None for camera in node.work.cameras.values()]

    assert listened() == [False, False]
    _, subscription = bench.listen('/face_attributes/b/markers', MarkerArray)
    bench.spin_until(lambda: listened() == [False, True])
    bench.robot.destroy_subscription(subscription)
    bench.spin_until(lambda: listened() == [False, False])


def test_nothing_is_drawn_for_those_who_listen_to_faces(bench, listener, exchange, monkeypatch):
    drawn = []
    monkeypatch.setattr(annotated, 'draw', lambda image, tracks, **which: drawn.append(tracks))
    listener()
    exchange(picture(stamp=bench.now()))
    assert drawn == []
    heard, _ = bench.listen('/face_attributes/image_annotated', Image)
    node = next(node for node in bench.nodes if hasattr(node, 'work'))
    bench.spin_until(lambda: node.work.publishers[''].wanted('image_annotated'))
    exchange(picture(stamp=bench.now()))
    bench.spin_until(lambda: heard)
    assert len(drawn) == 1


def test_annotated_image_is_not_drawn_faster_than_asked(bench, start, camera):
    heard, _ = bench.listen('/face_attributes/image_annotated', Image)
    faces, _ = bench.listen(FACES)
    node, _ = start(annotated__max_rate_hz=.01)
    bench.spin_until(
        lambda: all(map(node.work.publishers[''].wanted, ('image_annotated', 'faces'))))
    for number in range(1, 5):
        camera(picture(stamp=bench.now()))
        bench.spin_until(lambda: len(faces) == number)
    assert len(heard) == 1


def test_faces_can_be_made_unrecognisable_in_the_annotated_image(bench, start, camera):
    """A chessboard of single pixels goes in; within the box, only flat tiles come out."""
    heard, _ = bench.listen('/face_attributes/image_annotated', Image)
    node, _ = start(privacy__blur_annotated=True, annotated__show_labels=False)
    bench.spin_until(lambda: node.work.publishers[''].wanted('image_annotated'))
    sent = picture(stamp=bench.now())
    images.to_bgr(sent)[...] = (np.indices((48, 64)).sum(0) % 2 * 255)[..., None]
    camera(sent)
    bench.spin_until(lambda: heard)
    inside = images.to_bgr(heard[0])[16:32, 20:44]
    assert 100 < inside.min() and inside.max() < 155
    assert set(np.unique(images.to_bgr(heard[0])[:3])) == {0, 255}


def test_annotations_can_be_switched_off_live(bench, start, camera):
    heard, _ = bench.listen('/face_attributes/image_annotated', Image)
    node, _ = start(annotated__max_rate_hz=0.)
    bench.spin_until(lambda: node.work.publishers[''].wanted('image_annotated'))
    for labels in (True, False):
        node.set_parameters([Parameter('annotated.show_labels', value=labels)])
        before = len(heard)
        camera(picture(320, 240, stamp=bench.now()))
        bench.spin_until(lambda: len(heard) > before)
    assert sum(value != 100 for value in heard[0].data) > 1.5 * sum(value != 100
                                                                    for value in heard[1].data)
