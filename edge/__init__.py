"""An edge box: one small computer beside the ultrasound machine, where the line to the hospital comes and goes.

It takes images in, answers with the model that it carries, keeps everything on its own disk, and hands it to the
platform when the line is there. It has neither database server nor queue nor model server.
"""
