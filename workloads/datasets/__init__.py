"""Data sets in their standard layouts on disk, under one data root; generated in the same layout where missing.

imagenet   imagenet100/[train/]<class>/*.JPEG
imdb       aclImdb/{train,test}/{pos,neg}/*.txt
kinetics   kinetics400/train.csv (label,youtube_id,time_start,time_end,split) and mp4 files
coco       coco/train2017/*.jpg, coco/annotations/{instances,captions}_train2017.json
clips      clips/: Kinetics' layout with a picture and a text beside each clip, and a table of captions and figures
iris       scikit-learn's own 150 rows; more rows are sampled from them with noise
synthetic  how a missing data set is written once, whoever asks at the same time
"""
