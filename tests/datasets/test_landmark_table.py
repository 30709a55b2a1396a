import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_table

ROWS = "a.png,1,2.5,-3,4\nsub/b c.png, 5 ,6,7,8e1\n"


@pytest.fixture
def write(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b c.png", "comma,d.png"):
        (tmp_path / name).touch()

    def write(content: str | bytes):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        ROWS.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + ROWS.encode(),
        "image,x1,y1,x2,y2\n" + ROWS,
        ",0,1,2,3\n" + ROWS,
        "image,0,1,2,3\n" + ROWS,
        '"image","x1","y1","x2","y2"\r\n\r\n' + ROWS.replace("a.png", '"a.png"'),
        ROWS.replace("sub/", "sub\\"),
        ROWS.rstrip("\n"),
    ],
    ids=[
        "plain",
        "windows",
        "bom",
        "header",
        "pandas",
        "numbered",
        "quoted",
        "backslash",
        "no last line end",
    ],
)
def test_reads(write, tmp_path, content):
    things = load_table(write(content))
    assert things.names == ("a.png", "sub/b c.png")
    assert things.image_paths[1] == str(tmp_path / "sub/b c.png")
    np.testing.assert_array_equal(things.landmarks, [[[1, 2.5], [-3, 4]], [[5, 6], [7, 80]]])
    assert str(things) == "table.csv: 2 samples, 2 landmarks (no scheme), no pose"


def test_quoted_comma_image_folder_and_scheme(write, tmp_path):
    path = write('"comma,d.png"' + ",2" * 136)
    assert load_table(path).names == ("comma,d.png",)
    faces = load_table(path, "300w", image_folder=tmp_path)
    assert (faces.scheme, faces.n_landmarks) == ("300w", 68)
    with pytest.raises(
        DatasetError, match="line 1: expected 196 coordinates, of 98 landmarks. Received: 136"
    ):
        load_table(path, "wflw")
    with pytest.raises(DatasetError, match="which is not there"):
        load_table(path, image_folder=tmp_path / "sub")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "at least one line"),
        ("image,x1,y1\n", None, "at least one line"),
        (ROWS.replace("a.png,1", "a.png,"), 1, "expected a number as coordinate 1. Received: ''"),
        (ROWS.replace("a.png,1", "a.png,one"), 1, "Received: 'one'"),
        (ROWS.replace("a.png,1", "a.png"), 1, "Received: 3 coordinates"),
        (ROWS.replace("7,", ""), 2, "expected 4 coordinates, of 2 landmarks. Received: 3"),
        ("\n\n" + ROWS.replace("8e1", "nan"), 4, "Received: 'nan'"),
        (ROWS.replace("8e1", "8e9"), 2, "within"),
        (ROWS.replace("sub/b c", "none"), 2, r"none\.png', which is not there"),
        (ROWS.replace("sub/b c", "a\0"), 2, "which is not there|malformed CSV"),
        (ROWS.replace("sub/b c", "a" * 9000), 2, "which is not there"),
        (ROWS.replace("sub/b c.png", ""), 2, "Received: ''"),
        (ROWS.replace("sub/b c.png", '"sub'), 2, "malformed CSV"),
        (ROWS.encode("utf-16"), 1, "not UTF-8"),
        (ROWS.replace("b c", "b ç").encode("latin-1"), 2, "not UTF-8"),
    ],
)
def test_names_file_line_and_reason(write, content, line, reason):
    path = write(content)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_table(path)
    assert caught.value.path == str(path)
    assert caught.value.line == line


def test_absent(tmp_path):
    with pytest.raises(DatasetError, match="there is no such file"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_table(tmp_path)


FACE = [[10, 20], [30, 40]]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,x_0,x_1,y_0,y_1", "a.png,10,30,20,40"),
        ("image,y1,x1,y2,x2", "a.png,20,10,40,30"),
        ("x2,y2,file_name,x1,y1", "30,40,a.png,10,20"),
        ("image,X1,Y1,X2,Y2", "a.png,10,20,30,40"),
        ("image,x0,y0,x1,y1", "a.png,10,20,30,40"),
        ("image,x10,y10,x9,y9", "a.png,30,40,10,20"),
        ("image,x01,y01,x02,y02", "a.png,10,20,30,40"),
        ("image,1_x,1_y,2_x,2_y", "a.png,10,20,30,40"),
        ("image,1x,1y,2x,2y", "a.png,10,20,30,40"),
        ("image,point2_x,point2_y,point1_x,point1_y", "a.png,30,40,10,20"),
        ("image,lm_0_x,lm_1_x,lm_0_y,lm_1_y", "a.png,10,30,20,40"),
        ("image,landmark_0_x,landmark_0_y,landmark_1_x,landmark_1_y", "a.png,10,20,30,40"),
        ("image,x_nose,y_nose,x_chin,y_chin", "a.png,10,20,30,40"),
        ("image,nose_y,nose_x,chin_x,chin_y", "a.png,20,10,30,40"),
        ("image,noseX,noseY,chinX,chinY", "a.png,10,20,30,40"),
        ("image,left eye x,left eye y,left.mouth.x,left.mouth.y", "a.png,10,20,30,40"),
        ("photo,x1,y1,x2,y2", "a.png,10,20,30,40"),
        (",x1,y1,x2,y2", "a.png,10,20,30,40"),
        ("image,x,y,x,y", "a.png,10,20,30,40"),
    ],
)
def test_columns_are_taken_by_name(write, header, row):
    faces = load_table(write(f"{header}\n{row}\n"))
    np.testing.assert_array_equal(faces.landmarks, [FACE])
    assert faces.names == ("a.png",)
    assert faces.boxes is None
    assert faces.visibility is None


def test_one_landmark(write):
    np.testing.assert_array_equal(load_table(write("image,y,x\na.png,20,10\n")).landmarks, [[[10, 20]]])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,left,top,width,height,x1,y1,x2,y2", "a.png,5,6,50,60,10,20,30,40"),
        ("image,left,top,right,bottom,x1,y1,x2,y2", "a.png,5,6,55,66,10,20,30,40"),
        ("image,x1,y1,x2,y2,x_min,y_min,x_max,y_max", "a.png,10,20,30,40,5,6,55,66"),
        ("image,x1,y1,x2,y2,xmax,xmin,ymin,ymax", "a.png,10,20,30,40,55,5,6,66"),
        ("image,bbox_x,bbox_y,bbox_w,bbox_h,x1,y1,x2,y2", "a.png,5,6,50,60,10,20,30,40"),
        ("image,box_x1,box_y1,box_x2,box_y2,x1,y1,x2,y2", "a.png,5,6,55,66,10,20,30,40"),
        ("image,face_left,face_top,face_width,face_height,x1,y1,x2,y2", "a.png,5,6,50,60,10,20,30,40"),
    ],
)
def test_boxes(write, header, row):
    faces = load_table(write(f"{header}\n{row}\n"))
    np.testing.assert_array_equal(faces.landmarks, [FACE])
    np.testing.assert_array_equal(faces.boxes, [[5, 6, 55, 66]])


@pytest.mark.parametrize(
    ("header", "rows", "visible"),
    [
        ("image,x1,y1,v1,x2,y2,v2", ["10,20,1,30,40,0", "10,20,0,30,40,1"], [[1, 0], [0, 1]]),
        ("image,x1,y1,x2,y2,v2,v1", ["10,20,30,40,True,false", "10,20,30,40,1.0,1"], [[0, 1], [1, 1]]),
        ("image,a_x,a_y,b_x,b_y,b_visible", ["10,20,30,40,0", "10,20,30,40,1"], [[1, 0], [1, 1]]),
        # With a 2, they are COCO's
        ("image,x1,y1,v1,x2,y2,v2", ["10,20,1,30,40,2", "10,20,2,30,40,2"], [[0, 1], [1, 1]]),
    ],
)
def test_visibility(write, header, rows, visible):
    faces = load_table(write("\n".join([header, *(f"a.png,{row}" for row in rows)])))
    np.testing.assert_array_equal(faces.landmarks, [FACE, FACE])
    np.testing.assert_array_equal(faces.visibility, np.array(visible, dtype=bool))


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("image,x1,y1,confidence\na.png,1,2,3\n", 1, "1 of the columns are not recognised: 'confidence'"),
        ("image,x1,y1,widht\na.png,1,2,3\n", 1, r"'widht' \(near: width\)"),
        ("image,x1,y1,x2,yy2\na.png,1,2,3,4\n", 1, r"'yy2' \(near: y2\)"),
        ("image,x1,y1,x2\na.png,1,2,3\n", 1, "there is no y of landmark '2'"),
        ("image,x1,y1,X1,y2\na.png,1,2,3,4\n", 1, "'x1' and 'X1' are the same"),
        ("image,x1,y1,v2\na.png,1,2,1\n", 1, "no x and y of landmark '2'"),
        ("image,x1,y1,left,top\na.png,1,2,3,4\n", 1, "expected a box as"),
        ("image,x1,y1,left,top,right,height\na.png,1,2,3,4,5,6\n", 1, "expected a box as"),
        ("image,x1,y1,left,xmin,top,right,bottom\na.png,1,2,3,3,4,5,6\n", 1, "'xmin' says what 'left' does"),
        ("image,path,x1,y1\na.png,a.png,1,2\n", 1, "one column with the image, not 2"),
        ("image,left,top,right,bottom\na.png,1,2,3,4\n", 1, "an x and a y of each"),
        ("image,x1,y1,left,top,right,bottom\na.png,1,2,9,4,3,5\n", 2, "left <= right"),
        ("image,x1,y1,left,top,width,height\na.png,1,2,9,4,-3,5\n", 2, "width and height from 0"),
        ("image,x1,y1,v1\na.png,10,2,7\n", 2, "0, 1 or 2 as visibility v1. Received: '7'"),
        ("image,x1,y1\na.png,10,\n", 2, "expected a number as y1. Received: ''"),
        ("image,x1,y1\na.png,10\n", 2, "2 coordinates, of 1 landmarks. Received: 1"),
        ("image,y1,x1\na.png,10\n", 2, "2 cells beside the image's. Received: 1"),
        # A first line that names an image is data, whatever its cells
        ("a.png,,5\na.png,10,20\n", 1, "expected a number as coordinate 1. Received: ''"),
        ("a.png,5,NaN\na.png,10,20\n", 1, "Received: 'NaN'"),
        ('a.png,"10,5","20,5"\n', 1, "a decimal point as coordinate 1. Received: '10,5'"),
        # What spreadsheets and pandas add
        (",image,x1,y1\n0,a.png,10,20\n", 1, "numbers of the rows.*index=False"),
        ("Unnamed: 0,image,x1,y1\n0,a.png,10,20\n", 1, "numbers of the rows"),
        ("0,a.png,10,20\n1,a.png,11,20\n", 1, "the first column numbers the rows.*index=False"),
        (",0,1,2\n0,a.png,10,20\n", 1, "if the first column numbers the rows.*index=False"),
        ("index,file,x1,y1\n0,a.png,10,20\n", 1, "numbers of the rows"),
        ("id,file,x1,y1\n0,a.png,10,20\n", 1, "not recognised: 'id'"),
        ("image;x1;y1\na.png;10;20\n", 1, "this table has semicolons.*sep=';'"),
        ("a.png;10,5;20,5\n", 1, "this table has semicolons.*decimal=','"),
        ("image\tx1\ty1\na.png\t10\t20\n", 1, "this table has tabs"),
        # Fractions of the image
        ("image,x1,y1\na.png,0.25,0.5\na.png,1,0\n", 2, "multiply x by its width and y by its height"),
        ("a.png,0.25,0.5\n", 1, "from 0.25 to 0.5"),
    ],
)
def test_refuses_what_is_not_sure(write, content, line, reason):
    with pytest.raises(DatasetError, match=reason) as caught:
        load_table(write(content))
    assert caught.value.line == line
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "a.png,,,30,40\na.png,10,20,30,40\n",
        "image,x1,y1,x2,y2\na.png,nan,NaN,30,40\na.png,10,20,30,40\n",
        "image,x1,x2,y1,y2\na.png,,30,,40\na.png,10,30,20,40\n",
        "image,x1,y1,v1,x2,y2,v2\na.png,0,0,0,30,40,2\na.png,10,20,2,30,40,2\n",
    ],
)
def test_landmarks_without_a_position(write, content):
    faces = load_table(write(content))
    np.testing.assert_array_equal(faces.landmarks, [[[np.nan] * 2, [30, 40]], FACE])
    assert faces.visibility is None or faces.visibility.all()


def test_one_coordinate_beyond_a_pixel_makes_them_pixels(write):
    assert len(load_table(write("a.png,0.5,0.5,1,2\n"))) == 1


def test_scheme_counts_the_landmarks_of_the_header(write):
    with pytest.raises(DatasetError, match="line 1: expected 136 coordinates, of 68 landmarks. Received: 4"):
        load_table(write("image,x1,y1,x2,y2\na.png,1,2,3,4\n"), "300w")
