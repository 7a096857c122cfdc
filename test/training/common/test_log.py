# SPDX-License-Identifier: Apache-2.0
from face_attributes_ros.training.common.log import Log, read_log


def test_rows_keep_to_the_columns_and_whole_numbers_stay_whole(tmp_path, capsys):
    log = Log(tmp_path / 'log.csv', ['step', 'loss'])
    log.add({'step': 1234567, 'loss': .123456789, 'other': 1})
    assert read_log(tmp_path / 'log.csv') == [{'step': '1234567', 'loss': '0.12346'}]
    assert capsys.readouterr().out == 'step 1234567 loss 0.12346 other 1\n'


def test_a_cut_log_forgets_what_is_about_to_be_repeated_and_learns_new_columns(tmp_path):
    path = tmp_path / 'log.csv'
    old = Log(path, ['step', 'loss'])
    old.cut(3)
    assert not path.is_file()
    for step in (2, 4):
        old.add({'step': step, 'loss': 1.})
    log = Log(path, ['step', 'rate', 'loss'])
    log.cut(3)
    log.add({'step': 4, 'rate': .5})
    assert read_log(path) == [{'step': '2', 'rate': '', 'loss': '1'},
                              {'step': '4', 'rate': '0.5', 'loss': ''}]
